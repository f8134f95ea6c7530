// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
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

// TestSlowUplink has an uplink look for its interface only after its time is over: until
// then, what was read of the interface at the start stands, and the evidence is not
// complete.
func TestSlowUplink(t *testing.T) {
	t.Parallel()
	d := start(t, rulesFor(static("2001:db8::/64")), Options{})
	r := d.reconciler
	r.first = map[string]rules.Link{"none-such": {Index: 7}}
	r.complete.Store(true) // its time is over
	r.look()
	if got := r.linkOf(d.uplinks.Facts()[0]).Index; got != 7 || d.missing() == nil {
		t.Errorf("before it has looked, its link has the index %d, and %v is missing", got, d.missing())
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.uplinks.Run(ctx) }()
	for end := time.Now().Add(time.Minute); !r.followed.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the uplink never looks")
		}
		r.look()
	}
	if got := r.linkOf(d.uplinks.Facts()[0]).Index; got != 0 {
		t.Errorf("an interface that is gone has the index %d", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestUses knows the devices of the uplinks as they are, when it is asked, and not as they were.
func TestUses(t *testing.T) {
	t.Parallel()
	d := start(t, rulesFor(static("2001:db8::/64")), Options{})
	for _, c := range []struct {
		device string
		index  int
		uses   bool
	}{{"none-such", 7, true}, {"none-such", 0, false}, {"late", 8, false}, {"late", 0, false}} {
		if got := d.reconciler.uses(c.device, c.index); got != c.uses {
			t.Errorf("before: %s with the index %d is of an uplink: %t", c.device, c.index, got)
		}
	}
	d.uplinks.Configure([]rules.Uplink{{Interface: "none-such"}, {Interface: "late"}})
	if !d.reconciler.uses("late", 8) {
		t.Error("the device of an uplink that has just come is not one")
	}
}
