// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// TestFails has a program that fails several times at once be given up once, and the end of
// the responder wait until that is over.
func TestFails(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Responder) error{"close": (*Responder).Close, "hold": (*Responder).Hold} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			r := s.listenWithin(view(t, static("2001:db8:f1::/64")))
			fast := r.fast
			var given, over atomic.Int32
			giveUp, begun := fast.giveUp, make(chan struct{})
			fast.giveUp = func(err error) {
				given.Add(1)
				r.giving.Go(func() { // a slow one
					close(begun)
					for ended := false; !ended; time.Sleep(silence) {
						r.mu.Lock()
						ended = r.ended
						r.mu.Unlock()
					}
					over.Add(1)
				})
				giveUp(err)
			}
			r.mu.Lock()
			fast.fail(errors.New("one task"))
			fast.fail(errors.New("another one"))
			r.mu.Unlock()
			<-begun
			check(t, s.node.Do(func() error { return end(r) }))
			if over.Load() != 1 || given.Load() != 1 {
				t.Errorf("given up %d times, over %d times", given.Load(), over.Load())
			}
		})
	}
}
