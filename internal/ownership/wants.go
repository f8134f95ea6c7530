// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"cmp"
	"net/netip"
	"slices"
)

const (
	// wantsEach is how many nodes are called in for an address: one, and one that
	// takes over from it.
	wantsEach = 2
	// maxWants bounds how many are called in by one announcer.
	maxWants = 64
)

// Wants returns the nodes that a Local policy needs among the announcers, in order:
// for an address that none of those who would announce without being asked takes
// traffic for, two of those who do. All announcers choose the same.
func (e *Election) Wants(regular func(node string) bool) []string {
	wanted := make(map[string]bool)
	known := make(map[string]bool) // answers of regular
	for s, a := range e.addresses {
		if !a.local || slices.ContainsFunc(a.nodes, func(node string) bool {
			is, asked := known[node]
			if !asked {
				is = regular(node)
				known[node] = is
			}
			return is
		}) {
			continue
		}
		for _, node := range best(a.nodes, s) {
			wanted[node] = true
		}
	}
	names := make([]string, 0, len(wanted))
	for node := range wanted {
		names = append(names, node)
	}
	slices.Sort(names)
	return names[:min(len(names), maxWants)]
}

// best returns the first nodes for an address by their tickets alone.
func best(nodes []string, s netip.Addr) []string {
	seats := make([]Announcer, len(nodes))
	for i, node := range nodes {
		seats[i].Node = node
	}
	slices.SortFunc(seats, func(a, b Announcer) int {
		return cmp.Or(cmp.Compare(b.score(s), a.score(s)), cmp.Compare(a.Node, b.Node))
	})
	out := make([]string, 0, wantsEach)
	for _, a := range seats[:min(len(seats), wantsEach)] {
		out = append(out, a.Node)
	}
	return out
}
