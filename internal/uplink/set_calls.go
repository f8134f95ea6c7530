// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Sync waits until all uplinks have handled what was posted before, or ctx ends.
func (s *Set) Sync(ctx context.Context) error {
	return s.each(ctx, func(ctx context.Context, u *Uplink) error { return u.Sync(ctx) })
}

// Settle says that all evidence has come in that there was at the start: what an earlier
// daemon has left in the kernel, and nothing has confirmed, goes.
func (s *Set) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = true
	for _, u := range s.All() {
		u.box.post(func(m *mail) { m.settled = true })
	}
}

// Relieve says that something else keeps unicast solicitations from the kernel by now, on
// an uplink on which a program has stayed for that ([ndp.Path].Leaving).
func (s *Set) Relieve(name string) {
	for _, u := range s.All() {
		if u.name == name {
			u.box.post(func(m *mail) { m.relieved = true })
		}
	}
}

// countWait is how long an uplink gets to read the kernel's figures. One that takes
// longer shows those that it read last.
const countWait = 100 * time.Millisecond

// CountDrops makes the uplinks add what the kernel has lost to their counters, the
// only figure that is not counted as it happens.
func (s *Set) CountDrops(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, countWait)
	defer cancel()
	_ = s.each(ctx, func(ctx context.Context, u *Uplink) error { return u.call(ctx, u.countDrops) })
}

// taskWait is how long an uplink's task gets to go round. While it reads a link, the
// kernel may keep it waiting.
const taskWait = time.Second

// Alive makes each receive loop go round once, and returns nil when all have: what it
// asks for is work that an answer needs as well. An uplink whose task is stuck goes on
// to answer, and is no reason to stop the others; that all are stuck is one.
func (s *Set) Alive(ctx context.Context) error {
	var round atomic.Bool // a task has gone round
	err := s.each(ctx, func(ctx context.Context, u *Uplink) error {
		if alive := u.Facts().alive; alive != nil {
			if err := alive(ctx); err != nil {
				return err
			}
		}
		ctx, cancel := context.WithTimeout(ctx, taskWait)
		defer cancel()
		if u.Sync(ctx) == nil {
			round.Store(true)
		}
		return nil
	})
	if err == nil && !round.Load() && len(s.All()) > 0 {
		return errors.New("no uplink's task goes round")
	}
	return err
}

// each calls f for all uplinks at a time, so that a slow one costs the others
// nothing.
func (s *Set) each(ctx context.Context, f func(context.Context, *Uplink) error) error {
	all := s.All()
	errs := make(chan error, len(all))
	for _, u := range all {
		go func() { errs <- f(ctx, u) }()
	}
	var joined error
	for range all {
		joined = errors.Join(joined, <-errs)
	}
	return joined
}
