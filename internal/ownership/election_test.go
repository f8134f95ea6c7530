// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"maps"
	"testing"
	"time"
)

// grown is a world whose nodes have all settled.
func grown(t *testing.T, nodes, services int) *world {
	w := newWorld(t, nodes, services)
	for _, n := range w.nodes {
		w.start(n)
		w.run(500 * time.Millisecond)
	}
	w.run(settleFor + time.Second)
	w.wantOne("at first")
	return w
}

// TestGrow starts nodes one after the other.
func TestGrow(t *testing.T) {
	t.Parallel()
	w := grown(t, 4, 400)
	shares := make(map[string]int)
	for _, o := range w.wantOne("grown") {
		shares[o]++
	}
	for _, n := range w.nodes {
		if shares[n.name] < 60 || shares[n.name] > 140 {
			t.Errorf("%s has %d of 400 addresses", n.name, shares[n.name])
		}
	}
}

// failover is how long an address may be without an owner: what users were
// promised, less the time that packets take.
const failover = 2600 * time.Millisecond

// TestKill kills a node, with the API server and without.
func TestKill(t *testing.T) {
	t.Parallel()
	for name, api := range map[string]bool{"with the API server": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := grown(t, 3, 60)
			before := w.wantOne("before")
			w.api = api
			if !api {
				w.run(time.Minute) // all leases have ended meanwhile, for all that anybody knows
				if now := w.wantOne("frozen"); !maps.Equal(now, before) {
					t.Errorf("owners changed while the API server was away")
				}
			}
			w.kill(w.nodes[1])
			w.run(failover)
			after := w.wantOne("after the kill")
			w.wantMoved(before, after, "n1")
			w.run(30 * time.Second)
			if now := w.wantOne("later"); !maps.Equal(now, after) {
				t.Errorf("owners changed once more")
			}
			// It returns, and takes its addresses back in one move.
			w.start(w.nodes[1])
			w.run(settleFor - time.Second)
			if now := w.wantOne("on return"); !maps.Equal(now, after) {
				t.Errorf("owners changed before the node had settled")
			}
			w.run(10 * time.Second)
			if now := w.wantOne("settled"); !maps.Equal(now, before) {
				t.Errorf("the node did not get its addresses back")
			}
			w.api = true
			w.run(time.Minute)
			if now := w.wantOne("in the end"); !maps.Equal(now, before) {
				t.Errorf("owners changed in the end")
			}
		})
	}
}

// TestQuickRestart starts a killed daemon again before anybody misses it.
func TestQuickRestart(t *testing.T) {
	t.Parallel()
	w := grown(t, 3, 60)
	before := w.wantOne("before")
	w.kill(w.nodes[0])
	w.run(300 * time.Millisecond)
	w.start(w.nodes[0])
	w.run(time.Second)
	if now := w.wantOne("restarted"); !maps.Equal(now, before) {
		t.Errorf("owners changed")
	}
}

// TestStop is a planned stop.
func TestStop(t *testing.T) {
	t.Parallel()
	w := grown(t, 3, 60)
	before := w.wantOne("before")
	w.stop(w.nodes[2])
	w.run(step)
	w.wantMoved(before, w.wantOne("stopped"), "n2")
}

// TestCutOff takes one node's way to the API server: the others take over, as
// what it knows of services grows old, and it yields.
func TestCutOff(t *testing.T) {
	t.Parallel()
	w := grown(t, 3, 60)
	before := w.wantOne("before")
	w.nodes[0].cut = true
	w.run(15 * time.Second)
	after := w.wantOne("cut off")
	w.wantMoved(before, after, "n0")
	moves := w.moves()
	w.run(5 * time.Minute)
	if now := w.wantOne("for long"); !maps.Equal(now, after) || w.moves() != moves {
		t.Errorf("owners changed once more: %d moves", w.moves()-moves)
	}
	w.nodes[0].cut = false
	w.run(settleFor + 10*time.Second)
	if now := w.wantOne("back"); !maps.Equal(now, before) {
		t.Errorf("the node did not get its addresses back")
	}
}

// TestLink takes a node's link for a while.
func TestLink(t *testing.T) {
	t.Parallel()
	for name, api := range map[string]bool{"with the API server": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := grown(t, 3, 60)
			before := w.wantOne("before")
			w.api = api
			w.nodes[0].deaf = true
			w.link(w.nodes[0])
			w.run(failover)
			after := w.wantOne("link down")
			w.wantMoved(before, after, "n0")
			w.nodes[0].deaf = false
			w.link(w.nodes[0])
			w.run(settleFor / 2)
			if now := w.wantOne("link up"); !maps.Equal(now, after) {
				t.Errorf("owners changed before the node had settled")
			}
			w.run(settleFor + 5*time.Second)
			if now := w.wantOne("settled"); !maps.Equal(now, before) {
				t.Errorf("the node did not get its addresses back")
			}
		})
	}
}
