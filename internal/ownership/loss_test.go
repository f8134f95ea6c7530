// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// lossHours is how long frames are lost in TestPairLoss, unless the environment says
// otherwise.
const lossHours = 50

// TestPairLoss is TestLoss for one node that watches another, which is quick enough for
// ten thousand hours.
func TestPairLoss(t *testing.T) {
	t.Parallel()
	hours := lossHours
	if n, err := strconv.Atoi(os.Getenv("NDPROXYD_LOSS_HOURS")); err == nil {
		hours = n
	}
	for _, api := range []bool{true, false} {
		t.Run(fmt.Sprintf("API server %v", api), func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t, 2, 2)
			self, peer := w.self(w.nodes[0]), w.self(w.nodes[1])
			self.Node, self.Holder, self.Weight, self.Settled, self.Hears = "n0", "1", 1, true, []string{"n1"}
			peer.Node, peer.Holder, peer.Weight, peer.Settled, peer.Hears = "n1", "1", 1, true, []string{"n0"}
			e := ownership.New(self, rules.OwnershipHash, settleFor)
			e.Update(w.facts)
			now := w.now
			renew := func() {
				e.Renewed(self, now)
				e.Renewed(peer, now)
			}
			renew()
			e.SetSelf(w.self(w.nodes[0]), now)
			e.Begin(now)
			presence, renewed := rules.Presence("n1"), now
			const both = 0.95 * 0.95 // of a question and its answer
			for end := now.Add(time.Duration(hours) * time.Hour); now.Before(end); {
				next, _ := e.Next()
				if api && next.Sub(renewed) >= renewal {
					now, renewed = renewed.Add(renewal), renewed.Add(renewal)
					renew()
					continue
				}
				now = next
				for _, ask := range e.Due(now) {
					if ask.Target == presence && random.Float64() < both {
						e.Hear(ownership.Sign{From: w.nodes[1].mac, Address: presence}, now.Add(linkDelay))
					}
				}
				if p := e.Status(now).Peers[0]; p.Silent {
					t.Fatalf("the peer is taken for dead after %s", now.Sub(w.now))
				}
			}
		})
	}
}

// TestLoss loses one frame of twenty for an hour, with the API server and without, and wants
// nobody to be taken for dead but who is.
func TestLoss(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{2, 3} {
		for _, api := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d nodes, API server %v", nodes, api), func(t *testing.T) {
				t.Parallel()
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				w := grown(t, nodes, 6)
				w.random, w.loss = rand.New(rand.NewPCG(seed, 1)), 0.05
				before, moves := w.wantOne("before"), w.moves()
				w.api = api
				for range 4 {
					w.run(time.Hour / 4)
					if now := w.wantOne("for long"); !maps.Equal(now, before) || w.moves() != moves {
						t.Fatalf("%d moves", w.moves()-moves)
					}
				}
				w.kill(w.nodes[1])
				w.run(failover)
				w.wantMoved(before, w.wantOne("after a kill"), "n1")
			})
		}
	}
}
