// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"container/heap"
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
// they wait.
type delayQueue struct{ heap dueHeap }

// full reports whether there is no room for one more.
func (q *delayQueue) full() bool { return len(q.heap) >= maxDelayed }

// add puts a solicitation in that is due at a time. There has to be room.
func (q *delayQueue) add(due int64, delay time.Duration, k Kind, s *Solicitation) {
	heap.Push(&q.heap, delayed{due: due, delay: delay, kind: k, s: *s})
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

// pop takes the first answer out.
func (q *delayQueue) pop() delayed { return heap.Pop(&q.heap).(delayed) }

// dueHeap is the heap.Interface below a delayQueue.
type dueHeap []delayed

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are for container/heap only.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(delayed)) }
func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
