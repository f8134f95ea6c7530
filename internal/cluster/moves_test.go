// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestMoves lets addresses move at certain minutes, and looks at the end.
func TestMoves(t *testing.T) {
	t.Parallel()
	every := func(step, until int) (at []int) {
		for m := 0; m <= until; m += step {
			at = append(at, m)
		}
		return at
	}
	tests := []struct {
		name string
		at   []int // minutes, two moves each
		look int
		want int
	}{
		{"never", nil, 30, 0},
		{"a rollout", []int{3}, 4, 0},
		{"three rollouts", []int{3, 10, 17}, 18, 0},
		{"a daemon that is started again every six minutes", every(6, 60), 62, 1},
		{"a daemon that is started again every minute", every(1, 5), 6, 1},
		{"it is mended for twenty minutes", every(1, 5), 25, 1},
		{"it is mended for half an hour", every(1, 5), 36, 0},
		{"it is mended for days", every(1, 5), 10_000, 0},
		{"once an hour", every(60, 600), 601, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, begin := make(moves), time.Unix(1_800_000_000, 0)
			at := func(minutes int) time.Time { return begin.Add(time.Duration(minutes) * time.Minute) }
			for _, minute := range tt.at {
				m.add(service(1), at(minute))
				m.add(service(1), at(minute))
			}
			m.add(service(2), at(tt.look)) // another one that has just moved
			if got := m.unstable(at(tt.look)); got != tt.want {
				t.Errorf("%d addresses are unstable, want %d", got, tt.want)
			}
			if m.unstable(at(tt.look + 60)); len(m) > 0 {
				t.Errorf("%d addresses are kept that have not moved for an hour", len(m))
			}
		})
	}
}

// TestFrozen tells that owners are frozen only where a node shares service addresses
// with others by leases.
func TestFrozen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*config.Config)
		want   bool
	}{
		{"services by leases", func(*config.Config) {}, true},
		{"pods and the node's prefixes only", func(c *config.Config) { c.Rules = c.Rules[1:] }, false},
		{"each node answers for itself", func(c *config.Config) { c.Kubernetes.Ownership = rules.OwnershipAll }, false},
		{"anycast", func(c *config.Config) { c.Kubernetes.Ownership = rules.OwnershipAnycast }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.configure(tt.change)
				b.wait(time.Minute) // without a word from the API server
				if s := b.Status(); s.Frozen != tt.want {
					t.Errorf("frozen is %t, want %t", s.Frozen, tt.want)
				}
			})
		})
	}
}

// TestUnstable lets another announcer die and come back, until its addresses count as
// unstable.
func TestUnstable(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		const n = 40
		b.renew(other, otherMAC)
		b.knowLeases()
		b.services(n)
		b.run(settleFor+time.Second, other)
		for cycle := range 4 {
			if s := b.Status(); s.UnstableAddresses != 0 {
				b.Fatalf("%d addresses are unstable after %d deaths", s.UnstableAddresses, cycle)
			}
			b.run(15 * time.Second) // in which the other is silent
			b.run(settleFor+15*time.Second, other)
		}
		if s := b.Status(); s.UnstableAddresses == 0 || s.UnstableAddresses == n {
			b.Errorf("%d of %d addresses are unstable after four deaths", s.UnstableAddresses, n)
		}
	})
}
