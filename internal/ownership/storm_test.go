// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// stormSeeds is how many storms a run has, unless the environment says otherwise.
const stormSeeds = 8

// TestStorm disturbs nodes, links, clocks, views and the API server at random, in worlds
// that differ. When it has been quiet for a while each address has the owner that the
// records say, and nobody counts one without an owner or with two.
func TestStorm(t *testing.T) {
	t.Parallel()
	seeds := stormSeeds
	if n, err := strconv.Atoi(os.Getenv("NDPROXYD_STORMS")); err == nil {
		seeds = n
	}
	for range seeds {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			newStorm(t, seed).run()
		})
	}
}

// storm is a world that is disturbed.
type storm struct {
	*world
	rng     *rand.Rand
	looping map[*node]bool           // nodes whose daemon crashes again and again
	steps   map[string]func(n *node) // what may be done to a node
	names   []string                 // of the steps, in order
}

func newStorm(t *testing.T, seed uint64) *storm {
	s := &storm{rng: rand.New(rand.NewPCG(seed, 7)), looping: make(map[*node]bool)}
	s.world = newWorld(t, 2+s.rng.IntN(4), 30)
	s.random = rand.New(rand.NewPCG(seed, 8))
	if s.rng.IntN(2) == 0 {
		s.addRouter()
	}
	for i, n := range s.nodes {
		n.offset = time.Duration(s.rng.IntN(7200)-3600) * time.Second
		if i > 0 && s.rng.IntN(4) == 0 {
			n.link = byte(s.rng.IntN(3)) // a /64 of its own
		}
		if s.rng.IntN(3) == 0 {
			n.excluded = "label"
		}
	}
	s.steps = map[string]func(n *node){
		"API server":   func(*node) { s.api = !s.api },
		"cut":          func(n *node) { n.cut = !n.cut },
		"carrier":      func(n *node) { n.deaf = !n.deaf; s.tell(n) },
		"kill":         func(n *node) { s.kill(n) },
		"stop":         func(n *node) { s.stopIf(n) },
		"start":        func(n *node) { s.startIf(n) },
		"crash loop":   func(n *node) { s.looping[n] = !s.looping[n] },
		"label":        func(n *node) { n.excluded = map[string]string{"": "label"}[n.excluded]; s.tell(n) },
		"isolate":      func(*node) { s.isolate() },
		"heal":         func(*node) { s.heal() },
		"part":         func(n *node) { s.part([]string{n.name}, s.others(n)) },
		"one way":      func(n *node) { s.block(n.name, s.nodes[s.rng.IntN(len(s.nodes))].name) },
		"from routers": func(n *node) { s.block(n.name, router) },
		"view":         func(n *node) { s.differ(n) },
		"lossy":        func(*node) { s.loss = 0.1 * float64(s.rng.IntN(3)) },
	}
	s.names = slices.Sorted(maps.Keys(s.steps))
	return s
}

func (s *storm) others(n *node) (names []string) {
	for _, o := range s.nodes {
		if o != n {
			names = append(names, o.name)
		}
	}
	return append(names, router)
}

// tell tells a node's daemon what its node is like.
func (s *storm) tell(n *node) {
	if n.election != nil {
		s.link(n)
	}
}

func (s *storm) stopIf(n *node) {
	if n.election != nil {
		s.stop(n)
	}
}

func (s *storm) startIf(n *node) {
	if n.election == nil {
		s.start(n)
	}
}

// differ gives a node a view of its own of the endpoints of some services.
func (s *storm) differ(n *node) {
	n.facts = slices.Clone(s.facts)
	for i := range n.facts {
		if s.rng.IntN(3) == 0 {
			n.facts[i].Local, n.facts[i].Nodes = true, []string{s.nodes[s.rng.IntN(len(s.nodes))].name}
		}
	}
	if n.election != nil {
		n.election.Update(n.facts)
	}
}

func (s *storm) run() {
	for _, n := range s.nodes {
		s.start(n)
		s.pass(500 * time.Millisecond)
	}
	s.pass(settleFor)
	for range 60 {
		name := s.names[s.rng.IntN(len(s.names))]
		s.steps[name](s.nodes[s.rng.IntN(len(s.nodes))])
		s.pass(time.Duration(s.rng.IntN(8000)) * time.Millisecond)
	}
	s.calm()
	s.pass(2*settleFor + 30*time.Second)
	now := s.wantOne("calm")
	s.wantRanked(now)
	moves := s.moves()
	s.pass(time.Minute)
	if s.moves() != moves {
		s.t.Errorf("%d moves while nothing happened", s.moves()-moves)
	}
	for _, n := range s.nodes {
		if st := n.election.Status(s.clock(n)); st.Unowned+st.Contested > 0 {
			s.t.Errorf("%s counts %d addresses without an owner, and %d with two", n.name, st.Unowned, st.Contested)
		}
	}
}

// pass lets time go by, with daemons that crash.
func (s *storm) pass(d time.Duration) {
	for d > 0 {
		part := min(d, time.Second+time.Duration(s.rng.IntN(3000))*time.Millisecond)
		s.world.run(part)
		d -= part
		for _, n := range s.nodes {
			switch {
			case !s.looping[n]:
			case n.election == nil:
				s.start(n)
			default:
				s.kill(n)
			}
		}
	}
}

// calm ends all disturbances.
func (s *storm) calm() {
	s.heal()
	s.api, s.loss = true, 0
	clear(s.looping)
	for _, n := range s.nodes {
		n.cut, n.deaf, n.facts = false, false, nil
		s.startIf(n)
		s.link(n)
		n.election.Update(s.facts)
	}
}

// wantRanked wants the owner of each address to be on its link, and fit, if there is such
// a node.
func (s *storm) wantRanked(owners map[netip.Addr]string) {
	rank := func(n *node) (r int) {
		if n.link == 0 {
			r += 2
		}
		if n.excluded == "" {
			r++
		}
		return r
	}
	best := 0
	for _, n := range s.nodes {
		best = max(best, rank(n))
	}
	for a, owner := range owners {
		if got := rank(s.node(owner)); got != best {
			s.t.Errorf("%s went to %s, which ranks %d of %d", a, owner, got, best)
		}
	}
}
