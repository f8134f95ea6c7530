// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// requestsEach is how many nodes are called in for an address: one, and one that
	// takes over from it.
	requestsEach = 2
	// MaxRequests is how many nodes are called in beside MaxAnnouncers. Each hears
	// every renewal of all announcers of its link, so that without a bound a cluster
	// whose services all have Local policies would have every node announce.
	MaxRequests = 256
	// callers is how many announcers name a node in their leases that they call in:
	// one, and one more for when it ends.
	callers = 2
)

// Requests are the nodes that Local policies need among the announcers.
type Requests struct {
	// Nodes are called in. They are in order.
	Nodes []string
	// Left are the addresses that nobody answers for because more than MaxRequests
	// nodes would have to be called in.
	Left map[netip.Addr]bool
}

// Has reports whether a node is called in.
func (r *Requests) Has(node string) bool {
	_, found := slices.BinarySearch(r.Nodes, node)
	return found
}

// Requests returns the nodes that a Local policy needs among the announcers: for an
// address of our rules that none of those who would announce without being asked may
// own, two of those that take traffic for it. The second ones give way where there are
// too many. Announcers with the same rules choose the same.
func (e *Election) Requests(regular func(node string) bool) Requests {
	first, second := make(map[string]bool), make(map[string]bool)
	wanted := make(map[netip.Addr][]string)
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
		if !a.local || len(a.nodes) == 0 {
			continue
		}
		if covered, _ := e.self.covers(s); !covered {
			continue
		}
		if slices.ContainsFunc(a.best(), func(node string) bool { return e.mayOwn(node, s) && isRegular(node) }) {
			continue
		}
		nodes := best(a.best(), s)
		wanted[s] = nodes
		first[nodes[0]] = true
		for _, node := range nodes[1:] {
			second[node] = true
		}
	}
	names := sortedNames(first)
	for _, node := range sortedNames(second) {
		if !first[node] {
			names = append(names, node)
		}
	}
	r := Requests{Nodes: names[:min(len(names), MaxRequests)]}
	slices.Sort(r.Nodes)
	if len(first) > MaxRequests {
		r.Left = make(map[netip.Addr]bool)
		for s, nodes := range wanted {
			if !slices.ContainsFunc(nodes, r.Has) {
				r.Left[s] = true
			}
		}
	}
	return r
}

// CallerRank returns which of the announcers this node is that call another one in: 0
// for the first one. All that have the same leases agree on it, so that one of them
// does, and the next one only if that has no effect. It is false for a node that does
// not take part.
func (e *Election) CallerRank(node string) (rank int, ok bool) {
	if e.phase != member {
		return 0, false
	}
	ticket := rules.Presence(node) // any address that is the node's alone
	ours := e.self.score(ticket)
	for _, p := range e.peers {
		if !p.live() || p.Joining || len(p.Links) == 0 {
			continue
		}
		if c := cmp.Or(cmp.Compare(p.score(ticket), ours), cmp.Compare(e.self.Node, p.Node)); c > 0 {
			rank++
		}
	}
	return rank, true
}

// Calls returns the requests that this node's lease is to name: those of which it is
// among the first callers. Leases would be long if each named all.
func (e *Election) Calls(requests []string) (names []string) {
	for _, node := range requests {
		if rank, ok := e.CallerRank(node); ok && rank < callers {
			names = append(names, node)
		}
	}
	return names
}

func sortedNames(set map[string]bool) []string {
	names := make([]string, 0, len(set))
	for node := range set {
		names = append(names, node)
	}
	slices.Sort(names)
	return names
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
