// SPDX-License-Identifier: Apache-2.0

package process

import "time"

// SetWait gives another daemon another time to stop.
func (o *Options) SetWait(d time.Duration) { o.wait = d }
