// SPDX-License-Identifier: Apache-2.0

package ndp

import "time"

// multicastRate is how many answers a second may go to all nodes, and how many
// at once. Answers to duplicate address detection do; each costs every station
// of the link a look. No RFC gives the number: it is far above what any link's
// honest stations need and far below what disturbs them.
const multicastRate = 100

// bucket is a token bucket that refills with multicastRate a second. The zero
// bucket is full.
type bucket struct {
	level int64 // nanoseconds of refilling that were used up
	last  int64
}

// take reports whether one more may pass at the time, in nanoseconds.
func (b *bucket) take(now int64) bool {
	const cost = int64(time.Second / multicastRate)
	if now > b.last {
		b.level = max(0, b.level-(now-b.last))
		b.last = now
	}
	if b.level+cost > multicastRate*cost {
		return false
	}
	b.level += cost
	return true
}
