// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Status is the view of an election for people.
type Status struct {
	// Announcers counts those that take part, us included; Owned and Addresses
	// are how many addresses we own of how many there are.
	Announcers, Owned, Addresses int
	// Frozen is true while the leases tell nothing, Settled when we count like
	// the others, and Alone when the leases may not be read.
	Frozen, Settled, Alone bool
	Peers                  []PeerStatus
}

// PeerStatus is another announcer. Expired is one whose lease has ended, Silent
// one that does not answer on the link.
type PeerStatus struct {
	Node                               string
	Owns                               int
	Excluded                           string
	Settled, Cordoned, Expired, Silent bool
}

// Status returns the view as it is now.
func (e *Election) Status(now time.Time) Status {
	s := Status{
		Owned: e.owns[e.self.Node], Addresses: len(e.addresses),
		Frozen: e.Frozen(now), Settled: e.self.Settled, Alone: e.alone,
	}
	if e.phase == member {
		s.Announcers++
	}
	for _, p := range e.peers {
		if p.live() {
			s.Announcers++
		}
		s.Peers = append(s.Peers, PeerStatus{
			Node: p.Node, Owns: e.owns[p.Node], Excluded: p.Excluded,
			Settled: p.Settled, Cordoned: p.Cordoned, Expired: p.expired, Silent: p.dead,
		})
	}
	slices.SortFunc(s.Peers, func(a, b PeerStatus) int { return cmp.Compare(a.Node, b.Node) })
	return s
}

// Owner returns who is first and second in line for an address, "" for nobody.
func (e *Election) Owner(s netip.Addr) (owner, backup string) {
	if a := e.addresses[s]; a != nil {
		return a.owner, a.backup
	}
	return "", ""
}
