// SPDX-License-Identifier: Apache-2.0

package ownership

import "net/netip"

// leftAsks is how many of the addresses that were left to a peer are asked for at a time.
const leftAsks = 16

// Contest is an address of this node that a peer's station goes on to answer for, though
// nothing explains that: another program on the peer's node announces it.
type Contest struct {
	Address netip.Addr
	Node    string
}

// Contests returns those that were seen since it was last called.
func (e *Election) Contests() []Contest {
	c := e.contests
	e.contests = nil
	return c
}

// contend takes in that a peer answers for longer for an address that it has announced
// and that is ours by the leases. Either it has taken over from us, because it does not
// hear us: then we are the one to settle anew. Or another program on its node announces
// the address: then we leave that address to it while it answers, and no other one.
func (e *Election) contend(p *peer, s netip.Addr) (tookOver bool) {
	if e.tookOver(p) {
		return true
	}
	e.contests = append(e.contests, Contest{Address: s, Node: p.Node})
	return false
}

// tookOver reports whether a peer has announced what a daemon announces that believes us
// to be dead: all addresses of ours in which it is next in line, and no others. A few may
// have been missed.
func (e *Election) tookOver(p *peer) bool {
	const most, of = 3, 4
	next, left := 0, 0
	for s, a := range e.addresses {
		if a.owner != e.self.Node && a.leftTo != p.Node {
			continue
		}
		switch _, backup := e.elect(s, a); {
		case backup == p.Node:
			next++
			if a.leftTo == p.Node {
				left++
			}
		case a.leftTo == p.Node:
			return false
		}
	}
	return left*of >= next*most
}

// giveBack takes an address back that its peer does not answer for, and has the others
// that were left to the peer asked for at once.
func (e *Election) giveBack(c *check) {
	if a := e.left[c.address]; a != nil && a.leftTo == c.peer {
		a.leftTo = ""
		delete(e.left, c.address)
		e.reelect(c.address, a)
	}
	for _, a := range e.left {
		if until := c.due.Add(checkWait); a.leftTo == c.peer && a.until.After(until) {
			a.until, a.hurry = until, true
		}
	}
}
