// SPDX-License-Identifier: Apache-2.0

package ownership

// Status is the view of an election for people.
type Status struct {
	// Announcers counts those that take part, us included; Owned and Addresses
	// are how many addresses we own of how many there are.
	Announcers, Owned, Addresses int
	// Unowned and Contested count addresses without an owner, and with more than one,
	// as far as this node knows.
	Unowned, Contested int
	// Frozen is true while the leases tell nothing, Settled when we count like
	// the others, and Alone when the leases may not be read.
	Frozen, Settled, Alone bool
	Peers                  []PeerStatus
}

// PeerStatus is another announcer. Expired is one whose lease has ended, Silent
// one that does not answer on the link and counts as dead, and Heard one that does.
type PeerStatus struct {
	Node                                      string
	Owns                                      int
	Excluded                                  string
	Settled, Cordoned, Expired, Silent, Heard bool
}
