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
