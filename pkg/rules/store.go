// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"sync"
	"sync/atomic"
)

// Change is one publication: the table before it, nil at the first, and the
// table that now holds. Followers of one uplink take [Diff] of the two views.
type Change struct {
	Before, After *Table
}

// Store holds the table that is answered from. The zero Store holds none.
type Store struct {
	current atomic.Pointer[Table]
	updates atomic.Uint64

	mu        sync.Mutex
	followers []func(Change)
}

// Load returns the published table, or nil before the first publication.
func (s *Store) Load() *Table { return s.current.Load() }

// Updates returns how many tables were published.
func (s *Store) Updates() uint64 { return s.updates.Load() }

// Publish makes t the table that is answered from and tells the followers, in
// the order in which they came, before it returns.
func (s *Store) Publish(t *Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := Change{Before: s.current.Swap(t), After: t}
	s.updates.Add(1)
	for _, follow := range s.followers {
		follow(c)
	}
}

// Follow calls f for every later publication, one at a time. f must not call
// Publish or Follow.
func (s *Store) Follow(f func(Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followers = append(s.followers, f)
}
