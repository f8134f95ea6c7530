// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestSettler tells the uplinks once that the evidence is complete, and not before.
func TestSettler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var missing atomic.Pointer[string]
		var settled atomic.Int32
		missing.Store(new("the routes"))
		s := &settler{settle: func() { settled.Add(1) }, missing: func() error {
			if what := missing.Load(); what != nil {
				return errors.New(*what)
			}
			return nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if settled.Load() != 0 {
			t.Error("it is settled without the routes")
		}
		missing.Store(nil)
		time.Sleep(2 * settleEvery)
		missing.Store(new("the server is gone"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := settled.Load(); n != 1 {
			t.Errorf("it is settled %d times", n)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestSettlerEnds ends while evidence is missing.
func TestSettlerEnds(t *testing.T) {
	t.Parallel()
	s := &settler{missing: func() error { return errors.New("the routes") }, settle: func() { t.Error("it is settled") }}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}
