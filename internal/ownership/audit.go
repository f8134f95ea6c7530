// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"time"
)

const (
	// auditEvery is how often each peer is asked for one of our addresses: if it
	// answers there are two owners.
	auditEvery = 5 * time.Second
	// disputeAfter is how long a peer has to answer for an address of ours to count, which
	// is longer than a handover takes; disputeFor is how long it counts after an answer.
	disputeAfter, disputeFor = 2 * time.Second, 2 * auditEvery
	// auditStreak is how many records of a peer in a row have to tell of more or fewer
	// addresses than it should own: the first ones may be of before a change.
	auditStreak = 3
)

// audit is what is known of a peer's answers beside those that it should give.
type audit struct {
	due     time.Time  // when it is to be asked for an address of ours next
	address netip.Addr // that it was asked for last
	// low and high are the fewest and the most addresses that it should have owned since
	// its last record.
	low, high int
	// streak is how many records in a row told of other numbers, and surplus how many
	// addresses it owned too many in the last one, or too few where it is negative.
	streak, surplus int
}

// dispute is an address of ours that a peer answers for.
type dispute struct {
	first, last time.Time
	claimed     bool // we have announced it because of that
}

// observe notes how many addresses the peer should own now.
func (a *audit) observe(owns int) { a.low, a.high = min(a.low, owns), max(a.high, owns) }

// audited compares what a peer says that it owns with what it should own.
func (e *Election) audited(p *peer) {
	a := &p.audit
	surplus := 0
	switch {
	case p.Hears == nil: // a version that does not tell
	case p.Owns > a.high:
		surplus = p.Owns - a.high
	case p.Owns < a.low:
		surplus = p.Owns - a.low
	}
	if a.streak++; surplus == 0 || surplus > 0 != (a.surplus > 0) {
		a.streak = 1
	}
	a.surplus = surplus
	a.low, a.high = e.owns[p.Node], e.owns[p.Node]
}

// auditDue returns the question whether a peer answers for one of our addresses.
func (e *Election) auditDue(p *peer, now time.Time) []Ask {
	if now.Before(p.audit.due) {
		return nil
	}
	p.audit.due = now.Add(auditEvery)
	if d := e.disputes[p.audit.address]; d != nil && now.Sub(d.last) < disputeFor { // until that is over
		return p.asks(p.audit.address)
	}
	for s, a := range e.addresses { // any, and so all in time
		if covered, _ := p.covers(s); covered && a.owner == e.self.Node && a.takes(p.Node) {
			p.audit.address = s
			return p.asks(s)
		}
	}
	return nil
}

// disputed takes in that a peer answers for an address of ours though it takes part. It is
// announced when that goes on: one of the two has to yield.
func (e *Election) disputed(p *peer, s netip.Addr, now time.Time) {
	d := e.disputes[s]
	if d == nil || now.Sub(d.last) >= disputeFor {
		if asked := e.disputes[p.audit.address]; asked == nil || now.Sub(asked.last) >= disputeFor {
			p.audit.address = s // it may have answered somebody else's question
		}
		e.disputes[s] = &dispute{first: now, last: now}
		p.audit.due = now.Add(disputeAfter)
		return
	}
	d.last = now
	if a := e.addresses[s]; now.Sub(d.first) >= disputeAfter && !d.claimed && e.phase == member {
		d.claimed = true
		e.changes = append(e.changes, Change{Address: s, Ours: true, Owner: a.owner, Backup: a.backup, Before: a.owner, Announce: true})
	}
}

// unowned returns for how many addresses nobody answers, as far as this node knows:
// nobody may, or an announcer tells that it owns fewer than it should. Those that a Local
// policy leaves without an endpoint do not count.
func (e *Election) unowned(now time.Time) (n int) {
	if !e.begun || e.alone {
		return 0
	}
	for s, a := range e.addresses {
		if covered, _ := e.self.covers(s); covered && a.owner == "" && (!a.local || len(a.nodes) > 0) {
			n++
		}
	}
	missing, _ := e.discrepancies(now)
	return min(n+missing, len(e.addresses))
}

// contested returns how many addresses have two owners, as far as this node knows: another
// announcer answers for one of ours, or tells that it owns more than it should.
func (e *Election) contested(now time.Time) (n int) {
	for _, d := range e.disputes {
		if now.Sub(d.last) < disputeFor && d.last.Sub(d.first) >= disputeAfter {
			n++
		}
	}
	for _, a := range e.left {
		if now.Sub(a.since) >= deferFor {
			n++
		}
	}
	_, surplus := e.discrepancies(now)
	return min(n+surplus, len(e.addresses))
}

// discrepancies returns how many addresses announcers own too few and too many by their
// records. One whose router does not hear it answers nobody.
func (e *Election) discrepancies(now time.Time) (missing, surplus int) {
	if e.Frozen(now) {
		return 0, 0
	}
	for _, p := range e.peers {
		switch a := p.audit; {
		case p.expired || a.streak < auditStreak || p.Router == RouterSilent:
		case a.surplus > 0:
			surplus += a.surplus
		default:
			missing -= a.surplus
		}
	}
	return missing, surplus
}
