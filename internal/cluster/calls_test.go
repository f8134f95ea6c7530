// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// crowd lets time go by in which this node and many others renew their leases.
func (b *bench) crowd(d time.Duration, others []k8swatch.Lease) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		b.renewSelf()
		for _, l := range others {
			l.Renewed = b.renewed
			b.last().handler.Lease(l, false)
		}
		b.wait(min(time.Second, time.Until(end)))
	}
}

// local gives an address a Local policy with endpoints on nodes.
func local(nodes ...string) func(*k8swatch.AddressChange) {
	return func(c *k8swatch.AddressChange) { c.Local, c.Nodes = true, nodes }
}

// called returns what the watcher was asked to do about calls, and forgets it.
func (w *fakeWatcher) called() (calls []string) {
	w.set(func() { calls, w.calls = w.calls, nil })
	slices.Sort(calls)
	return calls
}

// TestCallIn moves the endpoints of Local addresses to nodes that stand by.
func TestCallIn(t *testing.T) {
	t.Parallel()
	others := announcers(32)
	for i := range others {
		others[i].Made = 300 // after this node, which so does not stand by
	}
	start := func(b *bench) {
		b.knowLeases()
		b.services(0)
		b.crowd(2*time.Second, others)
		b.last().called()
	}
	tests := []struct {
		name string
		do   func(b *bench)
	}{
		{"an announcer has an endpoint", func(b *bench) {
			b.services(1, local("o3", "x"))
			b.crowd(15*time.Second, others)
			if got := b.last().called(); got != nil {
				b.Errorf("calls: %v", got)
			}
		}},
		{"at least one announcer calls, and not all do at once", func(b *bench) {
			b.services(40, func(c *k8swatch.AddressChange) { local(fmt.Sprint("x", c.Service.Name))(c) })
			b.wait(callCoalesce)
			first := len(b.last().called())
			b.crowd((callSteps+1)*callStep, others)
			if rest := len(b.last().called()); first > 10 || first+rest != 40 {
				b.Errorf("%d at once, %d later", first, rest)
			}
		}},
		{"a node that has come is called no more", func(b *bench) {
			b.services(1, local("x"))
			b.crowd(time.Minute, others)
			if got := b.last().called(); len(got) < 2 || got[0] != "x true" {
				b.Errorf("calls: %v", got)
			}
			x := others[0]
			x.Node, x.Made = "x", 300
			b.crowd(time.Minute, append(slices.Clone(others), x))
			if got := b.last().called(); !slices.Equal(got, []string{"x false"}) {
				b.Errorf("calls when it has come: %v", got)
			}
			b.crowd(time.Minute, others) // it is gone
			if got := b.last().called(); !slices.Contains(got, "x true") {
				b.Errorf("calls when it is gone: %v", got)
			}
		}},
		{"an endpoint that has moved back", func(b *bench) {
			b.services(1, local("x"))
			b.crowd(5*time.Second, others)
			b.services(1, local("o3"))
			b.crowd(time.Minute, others)
			if got := b.last().called(); !slices.Equal(got, []string{"x false", "x true"}) {
				b.Errorf("calls: %v", got)
			}
		}},
		{"nobody is called while the leases tell nothing", func(b *bench) {
			b.wait(8 * time.Second)
			b.services(1, local("x"))
			b.wait(5 * time.Second)
			if got := b.last().called(); got != nil {
				b.Errorf("calls: %v", got)
			}
		}},
		{"more than may be called in", func(b *bench) {
			b.services(ownership.MaxRequests+20, func(c *k8swatch.AddressChange) { local(fmt.Sprint("x", c.Service.Name))(c) })
			b.crowd(5*time.Second, others)
			if got := b.last().called(); len(got) != ownership.MaxRequests {
				b.Errorf("%d calls", len(got))
			}
			if got := b.Status().Uncalled; got != 20 {
				b.Errorf("%d addresses are left", got)
			}
			left := 0
			for i := range ownership.MaxRequests + 20 {
				if b.Explain(service(i), rules.Services).Uncalled {
					left++
				}
			}
			if n := b.log.count("more nodes than may be called in"); left != 20 || n != 1 {
				b.Errorf("%d are explained so, %d lines", left, n)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bench) {
				start(b)
				tt.do(b)
			})
		})
	}
}

// TestCalled has this node called in while it stands by: it is wanted at once, and for a
// while after it is needed.
func TestCalled(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		h := b.last().handler
		if h.Wanted(announcers(32), 0) {
			t.Fatal("wanted before")
		}
		h.Called()
		if !h.Wanted(announcers(32), 0) {
			t.Error("not wanted")
		}
		h.Joining()
		b.knowLeases()
		b.services(1, local(self))
		before := announcers(33)
		asks := announcers(1)
		asks[0].Record = ownership.Announcer{Requests: []string{self}}.Record()
		b.crowd(time.Minute, append(slices.Clone(before), asks[0]))
		b.crowd(calledFor-2*time.Second, before)
		if len(b.watchers) > 1 {
			t.Fatal("it stands by at once")
		}
		b.wantAnswered("while it is needed", 1, 1)
		for range 10 {
			b.crowd(4*time.Second, before)
		}
		if !b.Status().Standby {
			t.Error("it does not stand by again")
		}
	})
}
