// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestSettler tells the uplinks once that the evidence is complete, and not before.
func TestSettler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		missing, settled := errors.New("the routes"), 0
		s := &settler{missing: func() error { return missing }, settle: func() { settled++ }}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if settled != 0 {
			t.Error("it is settled without the routes")
		}
		missing = nil
		time.Sleep(2 * settleEvery)
		missing = errors.New("the server is gone")
		time.Sleep(time.Minute)
		synctest.Wait()
		if settled != 1 {
			t.Errorf("it is settled %d times", settled)
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
