// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"math/rand/v2"
	"time"
)

// maxDelayed bounds the answers that wait in one queue, so that a flood costs no
// memory.
const maxDelayed = 4096

// delayed is a solicitation whose answer waits.
type delayed struct {
	due   int64         // nanoseconds of a monotonic clock
	delay time.Duration // that comes after the wait, see Result.Delay
	kind  Kind
	s     Solicitation
}

// delayQueue orders delayed answers by the time at which they are due. It keeps
// solicitations and not answers: the interface and the rules may change while
// they wait. It is a binary heap of its own, as container/heap would allocate for
// each of them.
type delayQueue struct{ heap []delayed }

// full reports whether there is no room for one more.
func (q *delayQueue) full() bool { return len(q.heap) >= maxDelayed }

// add puts a solicitation in that is due at a time. There has to be room.
func (q *delayQueue) add(due int64, delay time.Duration, k Kind, s *Solicitation) {
	q.heap = append(q.heap, delayed{due: due, delay: delay, kind: k, s: *s})
	for i := len(q.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if q.heap[parent].due <= q.heap[i].due {
			return
		}
		q.heap[parent], q.heap[i] = q.heap[i], q.heap[parent]
		i = parent
	}
}

// randomDelay returns a uniformly distributed random time up to limit (RFC 4861
// §7.2.8).
func randomDelay(limit time.Duration) int64 {
	return rand.Int64N(int64(limit) + 1) //nolint:gosec // no secret
}

// next returns the time at which the first answer is due.
func (q *delayQueue) next() (due int64, ok bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].due, true
}

// pop takes the first answer out. There has to be one.
func (q *delayQueue) pop() delayed {
	first, last := q.heap[0], len(q.heap)-1
	q.heap[0] = q.heap[last]
	q.heap = q.heap[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			return first
		}
		if child+1 < last && q.heap[child+1].due < q.heap[child].due {
			child++
		}
		if q.heap[i].due <= q.heap[child].due {
			return first
		}
		q.heap[child], q.heap[i] = q.heap[i], q.heap[child]
		i = child
	}
}
