// SPDX-License-Identifier: Apache-2.0

package control

import "time"

// SetPatience gives clients another time for each part of an exchange.
func (s *Server) SetPatience(d time.Duration) { s.timeouts = timeouts{header: d, idle: d, exchange: d} }
