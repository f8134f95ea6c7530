// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"cmp"
	"net/netip"
	"slices"
)

const (
	// requestsEach is how many nodes are called in for an address: one, and one that
	// takes over from it.
	requestsEach = 2
	// maxRequests bounds how many are called in by one announcer.
	maxRequests = 64
)

// Requests returns the nodes that a Local policy needs among the announcers, in order:
// for an address of our rules that none of those who would announce without being
// asked may own, two of those that take traffic for it. Announcers with the same rules
// choose the same.
func (e *Election) Requests(regular func(node string) bool) []string {
	wanted := make(map[string]bool)
	known := make(map[string]bool) // answers of regular
	isRegular := func(node string) bool {
		is, asked := known[node]
		if !asked {
			is = regular(node)
			known[node] = is
		}
		return is
	}
	for s, a := range e.addresses {
		if !a.local {
			continue
		}
		if covered, _ := e.self.covers(s); !covered {
			continue
		}
		if slices.ContainsFunc(a.nodes, func(node string) bool { return e.mayOwn(node, s) && isRegular(node) }) {
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
	return names[:min(len(names), maxRequests)]
}

// mayOwn reports whether a node announces and has a rule for an address. What the
// link says of it does not count, so that all see the same.
func (e *Election) mayOwn(node string, s netip.Addr) bool {
	a := &e.self
	if node != e.self.Node {
		p := e.peers[node]
		if p == nil || p.expired {
			return false
		}
		a = &p.Announcer
	}
	covered, _ := a.covers(s)
	return covered
}

// best returns the first nodes for an address by their tickets alone.
func best(nodes []string, s netip.Addr) []string {
	ranks := make([]rank, len(nodes))
	for i, node := range nodes {
		ranks[i] = rank{node: node, score: (&Announcer{Node: node}).score(s)}
	}
	slices.SortFunc(ranks, func(a, b rank) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.node, b.node)) })
	out := make([]string, 0, requestsEach)
	for _, r := range ranks[:min(len(ranks), requestsEach)] {
		out = append(out, r.node)
	}
	return out
}
