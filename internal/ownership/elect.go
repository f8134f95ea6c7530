// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// HandOver is how long an owner goes on to answer when its address goes to another
// announcer as planned, which may read the leases later than we do. A solicitation
// that fell between the two would be repeated after a second, RETRANS_TIMER of
// RFC 4861 §10.
const HandOver = 500 * time.Millisecond

// Update takes changes of service addresses over.
func (e *Election) Update(facts []Fact) {
	e.elections++
	for _, f := range facts {
		a := e.addresses[f.Address]
		switch {
		case f.Gone && a == nil:
		case f.Gone:
			e.count(a, -1)
			delete(e.addresses, f.Address)
			delete(e.left, f.Address)
			delete(e.held, f.Address)
			delete(e.disputes, f.Address)
			e.changes = append(e.changes, Change{Address: f.Address, Gone: true, Before: a.owner})
		case a == nil:
			a = &address{local: f.Local, nodes: f.Nodes, shares: f.Shares}
			e.addresses[f.Address] = a
			owner, backup := e.elect(f.Address, a)
			e.assign(f.Address, a, owner, backup, true)
		default:
			a.local, a.nodes, a.shares = f.Local, f.Nodes, f.Shares
			e.reelect(f.Address, a)
		}
	}
}

// Changes returns what has changed since it was last called, and is to be put in
// force now.
func (e *Election) Changes(now time.Time) []Change {
	changes := e.changes
	e.changes = nil
	for _, c := range changes {
		if until, held := e.held[c.Address]; held && until.IsZero() {
			e.held[c.Address] = now.Add(HandOver)
		}
	}
	return changes
}

// electIf decides anew if something has changed.
func (e *Election) electIf(changed bool) {
	if changed {
		e.electAll()
	}
}

// electAll decides anew for every address. Before we take part there is nothing
// to decide.
func (e *Election) electAll() {
	if !e.begun {
		return
	}
	e.elections++
	for s, a := range e.addresses {
		e.reelect(s, a)
	}
}

func (e *Election) reelect(s netip.Addr, a *address) {
	owner, backup := e.elect(s, a)
	if a.leftTo != "" {
		if p := e.peers[a.leftTo]; owner == e.self.Node && p != nil && p.live() {
			owner, backup = a.leftTo, e.self.Node
		} else { // it is explained, or nobody is left to leave it to
			a.leftTo = ""
			delete(e.left, s)
		}
	}
	e.assign(s, a, owner, backup, false)
}

// elect returns who is first and second in line for an address.
func (e *Election) elect(s netip.Addr, a *address) (owner, backup string) {
	if e.mode != rules.OwnershipHash || e.alone {
		if covered, _ := e.self.covers(s); covered && e.phase == member && a.takes(e.self.Node) && e.answersAlone() {
			return e.self.Node, ""
		}
		return "", ""
	}
	var first, second rank
	consider := func(r rank, ok bool) {
		r.share = a.share(r.node)
		switch {
		case !ok:
		case first.node == "" || r.better(first):
			first, second = r, first
		case second.node == "" || r.better(second):
			second = r
		}
	}
	if a.takes(e.self.Node) {
		consider(e.ownRank(s))
	}
	for _, p := range e.peers {
		if p.live() && a.takes(p.Node) {
			consider(p.rank(s))
		}
	}
	return first.node, second.node
}

// answersAlone reports whether this node answers where it does not share addresses
// out with others by their leases: one that is not fit leaves them to the others, if
// there are any.
func (e *Election) answersAlone() bool {
	return e.alone || e.self.Excluded == "" || e.irreplaceable
}

// ownRank returns where this node stands for an address, and false when it is no
// candidate. Nothing ranks but what the API server has of us, because others rank us
// by that: else two would be first, or nobody, until they have read the same. Two
// things are ours to know: that we cannot answer, for want of a link or a rule, and
// that others have gone on without us, because the link told them so and not a lease.
// A node that the others know nothing of is the last one.
func (e *Election) ownRank(s netip.Addr) (rank, bool) {
	if covered, _ := e.self.covers(s); !covered || e.phase != member {
		return rank{}, false
	}
	if r, ok := e.published.rank(s); ok {
		if !e.self.Settled {
			r.tier &^= tierSettled
		}
		return r, true
	}
	return rank{node: e.self.Node, score: e.self.score(s)}, true
}

func (e *Election) assign(s netip.Addr, a *address, owner, backup string, fresh bool) {
	if !fresh && owner == a.owner && backup == a.backup {
		return
	}
	ours := e.hold(s, a, owner, fresh) || owner == e.self.Node && owner != ""
	e.changes = append(e.changes, Change{Address: s, Ours: ours, Owner: owner, Backup: backup, Before: a.owner})
	if !fresh {
		e.count(a, -1)
	}
	a.owner, a.backup = owner, backup
	e.count(a, 1)
}

// count counts the address for its owner and its backup.
func (e *Election) count(a *address, n int) {
	add(e.owns, a.owner, n)
	add(e.stands, a.owner, n)
	add(e.stands, a.backup, n)
	if p := e.peers[a.owner]; p != nil {
		p.audit.observe(e.owns[a.owner])
	}
}

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
