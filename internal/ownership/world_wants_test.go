// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"net/netip"
)

func (w *world) node(name string) *node {
	for _, n := range w.nodes {
		if n.name == name {
			return n
		}
	}
	w.t.Fatalf("there is no node %q", name)
	return nil
}

// moves returns how often an address was taken.
func (w *world) moves() (sum int) {
	for _, n := range w.nodes {
		sum += n.moves
	}
	return sum
}

// owners returns how many nodes answer for each address that is reachable.
func (w *world) owners() map[netip.Addr][]string {
	out := make(map[netip.Addr][]string)
	for _, f := range w.facts {
		out[f.Address] = nil
		for _, n := range w.nodes {
			if n.election != nil && !n.deaf && n.ours[f.Address] {
				out[f.Address] = append(out[f.Address], n.name)
			}
		}
	}
	return out
}

// wantOne wants one owner of each address.
func (w *world) wantOne(when string) map[netip.Addr]string {
	w.t.Helper()
	out := make(map[netip.Addr]string)
	wrong := 0
	for a, nodes := range w.owners() {
		if len(nodes) != 1 {
			if wrong++; wrong < 4 {
				w.t.Errorf("%s: %s has the owners %v", when, a, nodes)
			}
			continue
		}
		out[a] = nodes[0]
	}
	if wrong > 0 {
		w.t.Fatalf("%s: %d of %d addresses do not have one owner", when, wrong, len(w.facts))
	}
	return out
}

// wantMoved wants the addresses of one node to have moved, and no other.
func (w *world) wantMoved(before, after map[netip.Addr]string, node string) {
	w.t.Helper()
	for a, o := range before {
		if o == node == (after[a] == o) {
			w.t.Errorf("%s went from %s to %s when %s went away", a, o, after[a], node)
		}
	}
}
