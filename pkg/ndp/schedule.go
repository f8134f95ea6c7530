// SPDX-License-Identifier: Apache-2.0

package ndp

import "time"

// planned is something that is due at a time, and knows its place in a schedule.
type planned interface {
	dueAt() time.Time
	setPlace(i int)
}

// schedule is a heap with what is due first at its head.
type schedule[T planned] []T

func (s schedule[T]) Len() int           { return len(s) }
func (s schedule[T]) Less(i, j int) bool { return s[i].dueAt().Before(s[j].dueAt()) }
func (s schedule[T]) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].setPlace(i)
	s[j].setPlace(j)
}

// Push and Pop are for container/heap only.
func (s *schedule[T]) Push(x any) {
	t := x.(T)
	t.setPlace(len(*s))
	*s = append(*s, t)
}

// Pop is for container/heap only.
func (s *schedule[T]) Pop() any {
	old := *s
	last := old[len(old)-1]
	*s = old[:len(old)-1]
	return last
}
