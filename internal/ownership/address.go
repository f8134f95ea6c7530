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

// Fact is what holds for a service address.
type Fact struct {
	Address netip.Addr
	// Gone is true when it is allocated no more.
	Gone bool
	// Local is true when only Nodes, in order, take traffic for it.
	Local bool
	Nodes []string
}

// Change is what an election changes for an address.
type Change struct {
	Address netip.Addr
	// Gone is true when it is allocated no more.
	Gone bool
	// Ours is true when this node answers: it is the owner, or was, and the owner has
	// not announced the address yet.
	Ours bool
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
