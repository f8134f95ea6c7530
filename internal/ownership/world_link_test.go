// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// wires are the link of a world.
type wires struct {
	// blocked are pairs of stations, by name, whose frames do not pass from the first
	// to the second.
	blocked map[[2]string]bool
	// loss is the share of frames that are lost, by random.
	loss   float64
	random *rand.Rand
	// routers are the addresses of the router, which is called by that name here. Where
	// a node is not blocked from it, it hears the node.
	routers []netip.Addr
	// cache is what the router knows of addresses: who has announced one last.
	cache map[netip.Addr]string
}

const router = "router"

// addRouter puts a router on the link, before nodes start.
func (w *world) addRouter() {
	w.routers, w.cache = []netip.Addr{netip.MustParseAddr("fe80::1")}, make(map[netip.Addr]string)
}

// block keeps frames from passing between two stations, in one direction.
func (w *world) block(from, to string) {
	if w.blocked == nil {
		w.blocked = make(map[[2]string]bool)
	}
	w.blocked[[2]string{from, to}] = true
}

// part keeps frames from passing between the stations of different groups.
func (w *world) part(groups ...[]string) {
	for i, a := range groups {
		for j, b := range groups {
			for _, from := range a {
				for _, to := range b {
					if i != j {
						w.block(from, to)
					}
				}
			}
		}
	}
}

// isolate keeps frames from passing between nodes, as isolated ports of a switch do.
func (w *world) isolate() {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			w.block(a.name, b.name)
		}
	}
}

// heal lets all frames pass.
func (w *world) heal() { w.blocked = nil }

// passes reports whether a frame gets from a node to a station.
func (w *world) passes(from, to string) bool {
	return !w.blocked[[2]string{from, to}] && (w.loss == 0 || w.random.Float64() >= w.loss)
}

// reaches reports whether a frame gets from a node to another one.
func (w *world) reaches(from, to *node) bool {
	return from != to && to.election != nil && !from.deaf && !to.deaf && from.link == to.link && w.passes(from.name, to.name)
}

// ask takes a question to a station and its answer back.
func (w *world) ask(from *node, ask ownership.Ask) {
	asker := from.election
	hear := func(s ownership.Sign) {
		asker.Hear(s, w.clock(from))
	}
	w.send(linkDelay, func() {
		if from.election != asker {
			return
		}
		if slices.Contains(w.routers, ask.Target) {
			if !from.deaf && w.passes(from.name, router) && w.passes(router, from.name) {
				hear(ownership.Sign{Address: ask.Target})
			}
			return
		}
		for _, n := range w.nodes {
			if n.mac != ask.To || !w.reaches(from, n) || !w.reaches(n, from) {
				continue
			}
			if ask.Target == rules.Presence(n.name) && n.election.TakesPart() || n.ours[ask.Target] || n.foreign[ask.Target] || slices.Contains(n.election.Witnessed(), ask.Target) {
				hear(ownership.Sign{From: n.mac, Address: ask.Target})
			}
		}
	})
}

// apply puts a node's changes in force, and announces what it takes.
func (w *world) apply(n *node) {
	var taken []netip.Addr
	for _, c := range n.election.Changes(w.clock(n)) {
		was := n.ours[c.Address]
		if !c.Ours || c.Gone {
			delete(n.ours, c.Address)
			continue
		}
		n.ours[c.Address] = true
		if !n.deaf && (!was || c.Announce) {
			taken = append(taken, c.Address)
		}
		if !was {
			n.moves++
		}
	}
	for _, a := range taken {
		if !n.ours[a] {
			continue
		}
		if w.cache != nil && w.passes(n.name, router) {
			w.cache[a] = n.name
		}
		for _, o := range w.nodes {
			if w.reaches(n, o) {
				o.election.Hear(ownership.Sign{From: n.mac, Address: a, Announced: true}, w.clock(o))
			}
		}
	}
}
