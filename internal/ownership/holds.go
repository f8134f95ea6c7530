// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"time"
)

// HandOver is how long an owner goes on to answer when its address goes to another
// announcer as planned, which may read the leases later than we do. A solicitation
// that fell between the two would be repeated after a second, RETRANS_TIMER of
// RFC 4861 §10.
const HandOver = 500 * time.Millisecond

// hold reports whether we go on to answer for an address that has the owner from now
// on: it was ours, and the owner has not announced it yet.
func (e *Election) hold(s netip.Addr, a *address, owner string, fresh bool) bool {
	_, held := e.held[s]
	switch {
	case owner == "" || owner == e.self.Node || a.leftTo != "" || e.phase != member || !a.takes(e.self.Node):
		delete(e.held, s)
		return false
	case !held && (fresh || a.owner != e.self.Node):
		return false
	case !held:
		e.held[s] = time.Time{} // Changes knows what time it is
	}
	return true
}

// release ends the hold of an address: its owner has announced it, or has had the
// time to.
func (e *Election) release(s netip.Addr) {
	if _, held := e.held[s]; !held {
		return
	}
	delete(e.held, s)
	a := e.addresses[s]
	e.changes = append(e.changes, Change{Address: s, Owner: a.owner, Backup: a.backup, Before: a.owner})
}

// releaseAll ends all holds, as when the link is lost.
func (e *Election) releaseAll() {
	for s := range e.held {
		e.release(s)
	}
}

// holdsDue ends the holds whose time is over.
func (e *Election) holdsDue(now time.Time) {
	for s, until := range e.held {
		if !until.IsZero() && !now.Before(until) {
			e.release(s)
		}
	}
}
