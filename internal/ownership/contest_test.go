// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
)

// TestSecondAnnouncer has another program on a node announce addresses that another node
// owns, again and again, and answer for them, as a load balancer's speaker does. The
// owner leaves it those addresses and no other, stays settled, and tells of each. When
// the program ends, the owner has them again.
func TestSecondAnnouncer(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{2, 3, 5} {
		for _, count := range []int{1, 3, 13} {
			t.Run(fmt.Sprintf("%d addresses, %d nodes", count, nodes), func(t *testing.T) {
				t.Parallel()
				w := grown(t, nodes, 60*nodes)
				owner, other := w.nodes[0], w.nodes[1]
				before := w.wantOne("before")
				other.foreign = make(map[netip.Addr]bool)
				for a, has := range before {
					if has == owner.name && len(other.foreign) < count {
						other.foreign[a] = true
					}
				}
				contests, moves := make(map[ownership.Contest]bool), owner.moves
				for range 12 {
					for a := range other.foreign {
						for _, n := range w.nodes {
							if n != other {
								n.election.Hear(ownership.Sign{From: other.mac, Address: a, Announced: true}, w.now)
							}
						}
					}
					w.run(10 * time.Second)
					for _, c := range owner.election.Contests() {
						contests[c] = true
					}
				}
				for a, has := range before {
					switch {
					case has != owner.name:
					case owner.ours[a] == other.foreign[a]:
						t.Errorf("%s of the other program %t: answered by its owner %t", a, other.foreign[a], owner.ours[a])
					}
				}
				if s := owner.election.Status(w.now); !s.Settled || owner.moves != moves {
					t.Errorf("the owner is settled: %t, and has taken %d addresses", s.Settled, owner.moves-moves)
				}
				for a := range other.foreign {
					if !contests[ownership.Contest{Address: a, Node: other.name}] {
						t.Errorf("nothing tells of %s: %v", a, contests)
					}
				}
				other.foreign = nil
				w.run(5 * time.Second)
				for a, has := range w.wantOne("after") {
					if has != before[a] {
						t.Errorf("%s went from %s to %s", a, before[a], has)
					}
				}
			})
		}
	}
}
