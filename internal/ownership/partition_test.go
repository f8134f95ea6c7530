// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
)

// wantCached wants the router to send to the owners.
func (w *world) wantCached(when string) {
	w.t.Helper()
	for a, owner := range w.wantOne(when) {
		if got := w.cache[a]; got != owner {
			w.t.Fatalf("%s: the router sends what is for %s to %s, its owner is %s", when, a, got, owner)
		}
	}
}

// TestIsolated keeps the nodes apart as isolated ports of a switch do, from the start or
// later. The API server is well, and in the end there is one owner of each address.
func TestIsolated(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{2, 3, 5} {
		for _, routed := range []bool{true, false} {
			for _, late := range []bool{false, true} {
				if nodes == 2 && !routed && late {
					continue // nobody can tell this from a node that is cut off
				}
				t.Run(fmt.Sprintf("%d nodes, router %v, later %v", nodes, routed, late), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, nodes, 20)
					if routed {
						w.addRouter()
					}
					if !late {
						w.isolate()
					}
					for _, n := range w.nodes {
						w.start(n)
						w.run(500 * time.Millisecond)
					}
					w.run(settleFor + 5*time.Second)
					before := w.wantOne("grown")
					w.isolate()
					w.run(15 * time.Second)
					for range 20 {
						w.run(time.Second)
						if now := w.wantOne("isolated"); !maps.Equal(now, before) {
							t.Fatal("the owners are others than before")
						}
					}
					if routed {
						w.wantCached("isolated")
					}
					// One that dies is missed by its lease, and one that comes is known by it.
					w.kill(w.nodes[1])
					w.run(12 * time.Second)
					w.wantMoved(before, w.wantOne("without n1"), "n1")
					w.start(w.nodes[1])
					w.run(settleFor + 5*time.Second)
					if now := w.wantOne("n1 is back"); !maps.Equal(now, before) {
						t.Error("the owners are others than before")
					}
					w.heal()
					w.run(20 * time.Second)
					if now := w.wantOne("healed"); !maps.Equal(now, before) {
						t.Error("the owners are others than before")
					}
				})
			}
		}
	}
}

// TestIsolatedRestart isolates the nodes, and starts one again after the other, which have
// heard of each other before.
func TestIsolatedRestart(t *testing.T) {
	t.Parallel()
	for _, routed := range []bool{true, false} {
		t.Run(fmt.Sprintf("router %v", routed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3, 20)
			if routed {
				w.addRouter()
			}
			for _, n := range w.nodes[:2] {
				w.start(n)
				w.run(500 * time.Millisecond)
			}
			w.run(settleFor + 5*time.Second)
			w.isolate()
			w.kill(w.nodes[0])
			w.run(50 * time.Millisecond)
			w.kill(w.nodes[1])
			for _, n := range w.nodes {
				w.start(n)
				w.run(900 * time.Millisecond)
			}
			w.run(2*settleFor + 5*time.Second)
			for range 10 {
				w.run(time.Second)
				w.wantOne("isolated")
			}
		})
	}
}

// TestAsymmetric blocks frames in one direction, from the start or later, while another
// node hears both. Nobody takes anything over, until a node dies.
func TestAsymmetric(t *testing.T) {
	t.Parallel()
	for _, api := range []bool{true, false} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("API server %v, later %v", api, late), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 3, 60)
				if !late {
					w.block("n0", "n1")
				}
				for _, n := range w.nodes {
					w.start(n)
					w.run(500 * time.Millisecond)
				}
				w.run(settleFor + 5*time.Second)
				before := w.wantOne("grown")
				w.api = api
				w.block("n0", "n1")
				for range 100 {
					w.run(300 * time.Millisecond)
					if now := w.wantOne("one direction only"); !maps.Equal(now, before) {
						t.Fatal("owners changed")
					}
				}
				if !late && !api {
					return // n0 and n1 have never heard of each other, and nobody may know
				}
				w.kill(w.nodes[1])
				after := failover
				if !late {
					after = 12 * time.Second // by its lease
				}
				w.run(after)
				w.wantMoved(before, w.wantOne("n1 is dead"), "n1")
			})
		}
	}
}

// TestPartition parts a link without a loss of carrier, and puts it together again. A
// second later there is one owner of each address, and the router sends to it.
func TestPartition(t *testing.T) {
	t.Parallel()
	type partition struct {
		name   string
		nodes  int
		groups [][]string
		cut    bool // n0 from the API server, too
		api    bool
		routed bool
	}
	var tests []partition
	for _, api := range []string{"well", "away", "on the link"} {
		for _, routed := range []bool{true, false} {
			tests = append(tests,
				partition{"n0 cut off", 3, [][]string{{"n0"}, {"n1", "n2", router}}, api == "on the link", api != "away", routed},
				partition{"n0 cut off, of two", 2, [][]string{{"n0"}, {"n1", router}}, api == "on the link", api != "away", routed},
				partition{"two and two", 4, [][]string{{"n0", "n2"}, {"n1", "n3", router}}, api == "on the link", api != "away", routed})
		}
	}
	for _, tt := range tests {
		for _, d := range []time.Duration{3 * time.Second, 5 * time.Second, 20 * time.Second, 2 * time.Minute} {
			t.Run(fmt.Sprintf("%s for %s, API server %v, cut %v, router asked %v", tt.name, d, tt.api, tt.cut, tt.routed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, tt.nodes, 60)
				w.addRouter()
				if !tt.routed {
					w.routers = nil
				}
				for _, n := range w.nodes {
					w.start(n)
					w.run(500 * time.Millisecond)
				}
				w.run(settleFor + 5*time.Second)
				before := w.wantOne("grown")
				w.api = tt.api
				w.run(10 * time.Second)
				w.part(tt.groups...)
				for _, name := range tt.groups[0] {
					w.node(name).cut = tt.cut
				}
				w.run(failover)
				for left := d - failover; left > 0; left -= 200 * time.Millisecond {
					w.run(min(left, 200*time.Millisecond))
					for a, owners := range w.owners() {
						reached := 0
						for _, o := range owners {
							if w.passes(o, router) {
								reached++
							}
						}
						if reached != 1 {
							t.Fatalf("the router reaches %d of the owners of %s, which are %v", reached, a, owners)
						}
					}
				}
				w.heal()
				w.run(500 * time.Millisecond)
				for _, n := range w.nodes {
					n.cut = false
				}
				w.run(800*time.Millisecond + ownership.HandOver)
				w.wantCached("healed")
				for left := settleFor / 2; left > 0; left -= 100 * time.Millisecond {
					w.run(100 * time.Millisecond)
					w.wantCached("later")
				}
				w.api = true
				w.run(4 * settleFor)
				w.wantCached("in the end")
				if now := w.wantOne("in the end"); !maps.Equal(now, before) {
					t.Error("the owners are others than before")
				}
			})
		}
	}
}
