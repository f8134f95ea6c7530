// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"slices"
	"time"
)

// address is a service address.
type address struct {
	local         bool
	nodes         []string
	shares        []uint16
	owner, backup string
	leftTo        string    // an announcer that has just announced it, "" for none
	since, until  time.Time // when it was left, and when to ask about it next
	hurry         bool      // it is asked about whatever the number of others
}

// takes reports whether a node takes traffic for the address.
func (a *address) takes(node string) bool {
	if !a.local {
		return true
	}
	_, found := slices.BinarySearch(a.nodes, node)
	return found
}

// share returns how much of the address a node serves, to compare nodes.
func (a *address) share(node string) uint16 {
	i, found := slices.BinarySearch(a.nodes, node)
	switch {
	case !found:
		return 0
	case a.shares == nil:
		return 1
	}
	return a.shares[i]
}

// best returns the nodes that serve most of the address, of those that do more than
// others.
func (a *address) best() []string {
	if a.shares == nil {
		return a.nodes
	}
	most := slices.Max(a.shares)
	var nodes []string
	for i, n := range a.nodes {
		if a.shares[i] == most {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// Fact is what holds for a service address.
type Fact struct {
	Address netip.Addr
	// Gone is true when it is allocated no more.
	Gone bool
	// Local is true when only Nodes, in order, take traffic for it. Otherwise Nodes
	// serve more of it than others do.
	Local bool
	Nodes []string
	// Shares are how much of it each of Nodes serves, greater than 0: an address may be
	// that of several services. Nil where they are equal.
	Shares []uint16
}

// Change is what an election changes for an address.
type Change struct {
	Address netip.Addr
	// Gone is true when it is allocated no more.
	Gone bool
	// Ours is true when this node answers: it is the owner, or was, and the owner has
	// not announced the address yet.
	Ours bool
	// Announce is true when it is to be announced although nothing else has changed,
	// because another station may have answered for it.
	Announce bool
	// Owner, Backup and Before are names of nodes, "" for none.
	Owner, Backup, Before string
}

// add adds to a number that is not kept when it is 0.
func add(m map[string]int, node string, n int) {
	if node == "" {
		return
	}
	if m[node] += n; m[node] == 0 {
		delete(m, node)
	}
}
