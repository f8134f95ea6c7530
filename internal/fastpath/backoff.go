// SPDX-License-Identifier: Apache-2.0

package fastpath

import "time"

// How long it takes until something that has failed is tried again: what somebody undoes
// again and again is not fought over.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	// seldomRetry takes the place of firstRetry where nobody has asked for the program, and
	// there is no bpffs for it: an idle daemon does not wake up for that.
	seldomRetry = 30 * time.Second
)

// backoff says when something is tried again that has failed: first after a short time, and
// after twice as long each time, up to a long one. What has not failed for longer than that
// begins anew. It is pure, and not safe for concurrent use.
type backoff struct {
	first, last time.Duration
	failed      time.Time     // when it did last
	wait        time.Duration // from then on
}

// newBackoff returns one of retries.
func newBackoff() backoff { return backoff{first: firstRetry, last: lastRetry} }

// next takes down a failure, and returns when to try again.
func (b *backoff) next(now time.Time) time.Time {
	if now.Sub(b.failed) > b.wait+b.last {
		b.wait = 0
	}
	b.failed, b.wait = now, min(max(b.first, 2*b.wait), b.last)
	return now.Add(b.wait)
}
