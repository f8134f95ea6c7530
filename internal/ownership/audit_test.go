// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
)

// counts returns what a node counts of addresses without an owner, and with two.
func (w *world) counts(n *node) (unowned, contested int) {
	s := n.election.Status(w.clock(n))
	return s.Unowned, s.Contested
}

// TestContested has two nodes that cannot hear each other own everything, as far as they
// know: their leases tell.
func TestContested(t *testing.T) {
	t.Parallel()
	w := grown(t, 2, 20)
	w.isolate()
	w.run(20 * time.Second)
	for _, n := range w.nodes {
		if unowned, contested := w.counts(n); unowned != 0 || contested == 0 {
			t.Errorf("%s counts %d and %d", n.name, unowned, contested)
		}
	}
	w.heal()
	w.run(20 * time.Second)
	w.wantOne("healed")
	for _, n := range w.nodes {
		if unowned, contested := w.counts(n); unowned+contested != 0 {
			t.Errorf("healed: %s counts %d and %d", n.name, unowned, contested)
		}
	}
}

// TestViews gives two nodes different views of where endpoints are. Where both believe
// that they own an address one of them yields, and where neither does it is counted.
func TestViews(t *testing.T) {
	t.Parallel()
	view := func(w *world, nodes ...string) []ownership.Fact {
		facts := slices.Clone(w.facts)
		for i := range facts {
			facts[i].Local, facts[i].Nodes = true, nodes
		}
		return facts
	}
	for _, tt := range []struct {
		name   string
		n0, n1 string // where they believe the endpoints are
		owners int
	}{{"both", "n0", "n1", 1}, {"neither", "n1", "n0", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := grown(t, 2, 6)
			w.nodes[0].election.Update(view(w, tt.n0))
			w.nodes[1].election.Update(view(w, tt.n1))
			contested, unowned := 0, 0
			for range 60 {
				w.run(time.Second)
				for _, n := range w.nodes {
					u, c := w.counts(n)
					unowned, contested = max(unowned, u), max(contested, c)
				}
			}
			if tt.owners == 1 && contested == 0 || tt.owners == 0 && unowned == 0 {
				t.Errorf("at most %d contested and %d unowned addresses were counted", contested, unowned)
			}
			for a, owners := range w.owners() {
				if len(owners) != tt.owners {
					t.Errorf("%s has the owners %v", a, owners)
				}
			}
			for _, n := range w.nodes {
				n.election.Update(w.facts)
			}
			w.run(20 * time.Second)
			w.wantOne("the same view")
		})
	}
}

// TestChurn makes services all the time. Nobody counts one without an owner, or with two.
func TestChurn(t *testing.T) {
	t.Parallel()
	w := grown(t, 3, 200)
	all := w.facts
	for i := range 400 {
		f := all[i%len(all)]
		f.Gone = i/len(all)%2 == 0
		for _, n := range w.nodes {
			n.election.Update([]ownership.Fact{f})
		}
		w.run(200 * time.Millisecond)
		for _, n := range w.nodes {
			if unowned, contested := w.counts(n); unowned+contested != 0 {
				t.Fatalf("change %d: %s counts %d and %d", i, n.name, unowned, contested)
			}
		}
	}
}
