// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// untilToken returns how long a limiter takes until it has one token.
func untilToken(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(missing / float64(l.Limit()) * float64(time.Second)))
}
