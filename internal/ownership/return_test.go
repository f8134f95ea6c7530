// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"
)

// TestReturn lets a node return in each way after others have taken over. They go on
// until it has settled, without a moment in which nobody does.
func TestReturn(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(w *world, n *node) (back func()){
		"killed": func(w *world, n *node) func() {
			w.kill(n)
			return func() { w.start(n) }
		},
		"stopped": func(w *world, n *node) func() {
			w.stop(n)
			return func() { w.start(n) }
		},
		"stopped, with a snapshot of before": func(w *world, n *node) func() {
			snapshot := maps.Clone(w.leases)
			w.stop(n)
			return func() { w.startWith(n, snapshot) }
		},
		"without its link": func(w *world, n *node) func() {
			n.deaf = true
			w.link(n)
			return func() {
				n.deaf = false
				w.link(n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := grown(t, 3, 60)
			n := w.nodes[1]
			back := away(w, n)
			w.run(failover)
			after := w.wantOne("away")
			back()
			for end := w.now.Add(settleFor - 500*time.Millisecond); w.now.Before(end); {
				w.run(step)
				for a, owners := range w.owners() {
					if len(owners) == 0 {
						t.Fatalf("%s after the return nobody owns %s, which %s had", settleFor-end.Sub(w.now), a, after[a])
					}
				}
			}
			if now := w.wantOne("before it has settled"); !maps.Equal(now, after) {
				t.Errorf("owners changed before the node had settled")
			}
		})
	}
}

// TestReturnSoon lets a killed node return before all have missed it, and beside one
// that is gone while its lease is still there. What others have taken over stays
// with them, and the rest is owned again within a moment.
func TestReturnSoon(t *testing.T) {
	t.Parallel()
	const asks = 600 * time.Millisecond // what it takes to ask on the link, and to tell
	for pause := 500 * time.Millisecond; pause <= 3*time.Second; pause += 100 * time.Millisecond {
		for _, dead := range []bool{false, true} {
			t.Run(fmt.Sprintf("after %s, another one dead: %v", pause, dead), func(t *testing.T) {
				t.Parallel()
				w := grown(t, 4, 60)
				if dead {
					w.kill(w.nodes[3])
					w.run(4 * time.Second)
				}
				w.kill(w.nodes[1])
				w.run(pause)
				w.start(w.nodes[1])
				owned := make(map[netip.Addr]bool)
				for back := w.now; w.now.Sub(back) < 8*time.Second; {
					for a, owners := range w.owners() {
						if len(owners) == 0 && (owned[a] || w.now.Sub(back) > asks) {
							t.Fatalf("%s after the return nobody owns %s", w.now.Sub(back), a)
						}
						owned[a] = len(owners) > 0
					}
					w.run(step)
				}
			})
		}
	}
}
