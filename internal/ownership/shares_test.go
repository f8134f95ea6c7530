// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
)

// TestShares gives addresses of several services to the node that serves most of them.
func TestShares(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		local  bool
		nodes  []string
		shares []uint16
		change func(a *ownership.Announcer) // of n1
		want   string
	}{
		{"a Cluster service, and a Local one on n1", false, []string{"n1"}, []uint16{1}, nil, "n1"},
		{"n1 serves both Local ones", true, []string{"n0", "n1", "n2"}, []uint16{257, 514, 257}, nil, "n1"},
		{"n1 is ready, n2 terminates", true, []string{"n1", "n2"}, []uint16{257, 256}, nil, "n1"},
		{"n1 is not fit", true, []string{"n1", "n2"}, []uint16{514, 257}, func(a *ownership.Announcer) { a.Excluded = "label" }, "n2"},
		{"n1 is cordoned", true, []string{"n1", "n2"}, []uint16{514, 257}, func(a *ownership.Announcer) { a.Cordoned = true }, "n1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := grown(t, 3, 20)
			if tt.change != nil {
				self := w.self(w.nodes[1])
				tt.change(&self)
				w.nodes[1].election.SetSelf(self, w.now)
			}
			for i := range w.facts {
				w.facts[i].Local, w.facts[i].Nodes, w.facts[i].Shares = tt.local, tt.nodes, tt.shares
			}
			for _, n := range w.nodes {
				n.election.Update(w.facts)
			}
			w.run(settleFor)
			for a, owner := range w.wantOne(tt.name) {
				if owner != tt.want {
					t.Errorf("%s is %s's, want %s", a, owner, tt.want)
				}
			}
		})
	}
}
