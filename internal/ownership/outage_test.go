// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"
)

// TestOutage takes the API server for ten minutes: nothing moves.
func TestOutage(t *testing.T) {
	t.Parallel()
	w := grown(t, 5, 100)
	before := w.wantOne("before")
	w.api = false
	w.run(10 * time.Minute)
	w.api = true
	for range 100 {
		w.run(100 * time.Millisecond)
		if now := w.wantOne("after the outage"); !maps.Equal(now, before) {
			t.Fatal("owners changed")
		}
	}
}

// TestUnfitInOutage gives a node a reason to go last that it cannot publish: it
// goes on, as others count on it.
func TestUnfitInOutage(t *testing.T) {
	t.Parallel()
	w := grown(t, 3, 60)
	before := w.wantOne("before")
	w.api = false
	w.run(time.Minute)
	self := w.self(w.nodes[0])
	self.Excluded = "the service proxy is away"
	w.nodes[0].election.SetSelf(self, w.now)
	w.run(10 * time.Second)
	if now := w.wantOne("unfit"); !maps.Equal(now, before) {
		t.Error("owners changed")
	}
	w.api = true
	w.run(time.Minute)
	w.wantMoved(before, w.wantOne("published"), "n0")
	if owned := w.nodes[0].election.Status(w.now).Owned; owned != 0 {
		t.Errorf("by its own view the unfit node owns %d addresses", owned)
	}
}

// TestRestartInOutage starts a daemon again about when the others miss it: some
// have taken over, and some have not.
func TestRestartInOutage(t *testing.T) {
	t.Parallel()
	for pause := time.Second; pause < 3*time.Second; pause += 100 * time.Millisecond {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			w := grown(t, 3, 60)
			w.api = false
			w.run(time.Minute)
			w.kill(w.nodes[0])
			w.run(pause)
			w.start(w.nodes[0])
			w.run(failover + time.Second)
			w.wantOne("restarted")
			w.run(time.Minute)
			w.wantOne("later")
		})
	}
}

// TestDeadBackup kills the next in line before the owner.
func TestDeadBackup(t *testing.T) {
	t.Parallel()
	w := grown(t, 4, 1)
	w.api = false
	w.run(time.Minute)
	target := w.facts[0].Address
	owner := w.wantOne("before")[target]
	_, backup := w.node(owner).election.Owner(target)
	w.kill(w.node(backup))
	w.run(30 * time.Second)
	w.kill(w.node(owner))
	w.run(failover)
	w.wantOne("owner dead")
}

// TestTwoDie kills two nodes at once.
func TestTwoDie(t *testing.T) {
	t.Parallel()
	w := grown(t, 4, 100)
	w.api = false
	w.run(time.Minute)
	w.kill(w.nodes[0])
	w.kill(w.nodes[1])
	w.run(2 * failover)
	w.wantOne("two dead")
}

// TestChaos does what it likes to nodes, links and the API server. When all is
// well again there is one owner of each address, the one of before.
func TestChaos(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 4))
			w := grown(t, 3+int(seed%3), 40)
			before := w.wantOne("before")
			for range 40 {
				n := w.nodes[rng.IntN(len(w.nodes))]
				switch rng.IntN(6) {
				case 0:
					w.api = !w.api
				case 1:
					n.cut = !n.cut
				case 2:
					if n.deaf = !n.deaf; n.election != nil {
						w.link(n)
					}
				case 3:
					w.kill(n)
				case 4:
					if n.election != nil {
						w.stop(n)
					}
				case 5:
					if n.election == nil {
						w.start(n)
					}
				}
				w.run(time.Duration(rng.IntN(8000)) * time.Millisecond)
			}
			w.api = true
			for _, n := range w.nodes {
				n.cut, n.deaf = false, false
				if n.election == nil {
					w.start(n)
				} else {
					w.link(n)
				}
			}
			w.run(settleFor + 30*time.Second)
			if now := w.wantOne("healed"); !maps.Equal(now, before) {
				t.Error("the owners are others than before")
			}
			moves := w.moves()
			w.run(2 * time.Minute)
			if w.moves() != moves {
				t.Errorf("%d moves while nothing happened", w.moves()-moves)
			}
		})
	}
}
