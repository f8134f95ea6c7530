// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"maps"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
)

// TestHandOver moves addresses as planned while the leases reach one node later than
// another. There is no moment in which nobody answers for an address, nor does its
// old owner go on for long.
func TestHandOver(t *testing.T) {
	t.Parallel()
	const late = 200 * time.Millisecond
	lags := map[string]func(lease string, to *node) time.Duration{
		"read by the node itself last":  func(lease string, to *node) time.Duration { return lagIf(to.name == lease, late) },
		"read by the node itself first": func(lease string, to *node) time.Duration { return lagIf(to.name != lease, late) },
		"read by one other last":        func(_ string, to *node) time.Duration { return lagIf(to.name == "n2", late) },
	}
	moves := map[string]func(w *world, n *node){
		"more weight": func(_ *world, n *node) { n.election.Configure(8, settleFor) },
		"cordoned": func(w *world, n *node) {
			self := w.self(n)
			self.Cordoned = true
			n.election.SetSelf(self, w.now)
		},
		"excluded": func(w *world, n *node) {
			self := w.self(n)
			self.Excluded = "label"
			n.election.SetSelf(self, w.now)
		},
		"settled again": func(w *world, n *node) {
			w.kill(n)
			w.run(failover)
			w.start(n)
		},
	}
	for move, begin := range moves {
		for order, lag := range lags {
			t.Run(move+", "+order, func(t *testing.T) {
				t.Parallel()
				w := grown(t, 3, 60)
				w.lag = lag
				w.run(renewal)
				n := w.nodes[1]
				before := w.wantOne("before")
				begin(w, n)
				if move == "settled again" {
					before = w.wantOne("away")
				}
				for end, two := w.now.Add(settleFor+2*renewal), time.Duration(0); w.now.Before(end); w.run(step) {
					most := 0
					for a, owners := range w.owners() {
						if len(owners) == 0 {
							t.Fatalf("nobody owns %s, which %s had", a, before[a])
						}
						most = max(most, len(owners))
					}
					if two += step; most == 1 {
						two = 0
					}
					if two > max(late, ownership.HandOver)+2*step {
						t.Fatalf("two nodes answer for an address for more than %s", two)
					}
				}
				if after := w.wantOne("after"); maps.Equal(after, before) {
					t.Error("nothing has moved")
				}
			})
		}
	}
}

func lagIf(late bool, by time.Duration) time.Duration {
	if late {
		return by
	}
	return 0
}
