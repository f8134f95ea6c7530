// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// maxDelayed bounds the answers that wait, so that a flood costs no memory.
const maxDelayed = 4096

// delayed is a solicitation whose answer waits for its random delay.
type delayed struct {
	due  int64 // nanoseconds of a monotonic clock
	kind Kind
	s    Solicitation
}

// delayQueue orders delayed answers by the time at which they are due. It keeps
// solicitations and not answers: the interface and the rules may change while
// they wait.
type delayQueue struct{ heap dueHeap }

// add puts a solicitation in for a random time up to limit. It returns true
// when the queue was full and the answer that was due first gave way.
func (q *delayQueue) add(now int64, limit time.Duration, k Kind, s *Solicitation) (displaced bool) {
	if len(q.heap) >= maxDelayed {
		heap.Pop(&q.heap)
		displaced = true
	}
	// RFC 4861 §7.2.8: a uniformly distributed random time.
	heap.Push(&q.heap, delayed{due: now + rand.Int64N(int64(limit)+1), kind: k, s: *s}) //nolint:gosec // no secret
	return displaced
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
