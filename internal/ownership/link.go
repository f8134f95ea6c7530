// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// presenceEvery is how often an owner, or who is next in line, is asked whether
	// it is alive, by each announcer and whatever the number of addresses.
	presenceEvery = time.Second
	// presenceWait is how long it may take to answer.
	presenceWait = 500 * time.Millisecond
	// presenceMisses unanswered questions make it dead: 2.5 seconds after its
	// last sign of life at the latest.
	presenceMisses = 3
	// deadEvery is how often a dead owner is asked for what was its.
	deadEvery = 5 * time.Second
	// checkWait and checkAsks are for the question whether another announcer
	// has taken over what would be ours.
	checkWait = 250 * time.Millisecond
	checkAsks = 2
)

// Ask is a solicitation to send to one station: who answers is there, whatever
// the leases say.
type Ask struct {
	To     MAC
	Target netip.Addr
}

// Sign is an advertisement of another station.
type Sign struct {
	From    MAC
	Address netip.Addr
	// Announced is true for one that nobody asked for and that overrides what
	// others know: its sender has taken the address over.
	Announced bool
}

// Knows reports whether an announcer has that link-layer address.
func (e *Election) Knows(m MAC) bool { return e.peerOf(m) != nil }

// peerOf returns the peer with a link-layer address: a living one rather than
// what a node was called before.
func (e *Election) peerOf(m MAC) *peer {
	var found *peer
	for _, p := range e.peers {
		if p.has(m) && (found == nil || p.live() && !found.live() || p.live() == found.live() && !p.expired && found.expired) {
			found = p
		}
	}
	return found
}

// present takes in that the daemon of a presence address is alive.
func (e *Election) present(s Sign) {
	for _, p := range e.peers {
		if p.open && s.Address == rules.Presence(p.Node) && p.has(s.From) {
			p.open, p.misses, p.due, p.answers = false, 0, p.asked.Add(presenceEvery), true
		}
	}
}

// Hear takes a sign in.
func (e *Election) Hear(s Sign, now time.Time) {
	p := e.peerOf(s.From)
	if p == nil || e.mode != rules.OwnershipHash || e.alone {
		return
	}
	switch {
	case rules.PresencePrefix().Contains(s.Address):
		e.present(s)
	case s.Announced:
		e.announced(p, s.Address, now)
	default:
		e.answered(p, s.Address, now)
	}
}

// announced takes in that a peer has taken an address over.
func (e *Election) announced(p *peer, s netip.Addr, now time.Time) {
	if p.expired && !e.Frozen(now) { // it is cut off from the API server, and we are not
		return
	}
	e.revive(p, now)
	e.release(s)
	a := e.addresses[s]
	if a == nil || a.owner != e.self.Node {
		return
	}
	a.leftTo, a.since, a.until = p.Node, now, now.Add(askLeft)
	e.left[s] = a
	e.reelect(s, a)
}

// revive notes that a peer is alive after all.
func (e *Election) revive(p *peer, now time.Time) {
	if p.live() {
		return
	}
	p.dead, p.expired, p.misses, p.open, p.due, p.seen = false, false, 0, false, now, now
	e.electAll()
}

// answered takes in that a peer answers for an address.
func (e *Election) answered(p *peer, s netip.Addr, now time.Time) {
	for i, c := range e.checks {
		if c.peer != p.Node || c.address != s {
			continue
		}
		if !c.left { // the other checks go on
			c.taken = true
			e.endChecks(now)
			return
		}
		e.checks = append(e.checks[:i], e.checks[i+1:]...)
		// Others may be about to read in the leases what explains it. While these
		// tell nothing it stays as it is.
		if a := e.addresses[s]; a != nil && !e.Frozen(now) && now.Sub(a.since) >= deferFor {
			e.setSettled(false, now) // the others have gone on without us
			e.takeBack(p.Node)
		}
		return
	}
	if a := e.addresses[s]; p.dead && a != nil && a.owner == e.self.Node {
		e.revive(p, now)
	}
}

// Due does what is due, and returns the questions to send.
func (e *Election) Due(now time.Time) []Ask {
	if e.mode != rules.OwnershipHash || e.alone {
		return nil
	}
	e.looked = now
	if !e.settleAt.IsZero() && !now.Before(e.settleAt) && e.phase == member {
		e.setSettled(true, now)
		e.electAll()
	}
	e.expire(now)
	e.holdsDue(now)
	e.leftDue(now)
	asks := e.checksDue(now)
	if len(e.self.Links) == 0 {
		return asks
	}
	died := false
	for _, p := range e.peers {
		more, dead := e.peerDue(p, now)
		asks, died = append(asks, more...), died || dead
	}
	e.electIf(died)
	return asks
}

// asks returns questions for an address on each of a peer's links.
func (p *peer) asks(target netip.Addr) []Ask {
	asks := make([]Ask, 0, len(p.Links))
	for _, l := range p.Links {
		asks = append(asks, Ask{To: l.MAC, Target: target})
	}
	return asks
}

// peerDue asks an owner, and who is next in line, whether it is alive, and one
// that is dead whether it answers for what was its. died is true when it has just
// turned out to be dead.
func (e *Election) peerDue(p *peer, now time.Time) (asks []Ask, died bool) {
	if p.expired || now.Before(p.due) {
		return nil, false
	}
	if p.dead {
		p.due = now.Add(deadEvery)
		for s, a := range e.addresses {
			if a.owner == e.self.Node && e.wouldOwn(p, s, a) {
				return p.asks(s), false
			}
		}
		return nil, false
	}
	if p.open && e.reaches(p) {
		if p.misses++; p.misses >= presenceMisses {
			p.dead, p.open, p.due = true, false, now.Add(deadEvery)
			return nil, true
		}
	}
	if e.stands[p.Node] == 0 {
		p.open, p.misses, p.due = false, 0, now.Add(presenceEvery)
		return nil, false
	}
	p.open, p.asked, p.due = true, now, now.Add(presenceWait)
	if !e.reaches(p) {
		p.due = now.Add(deadEvery)
	}
	return p.asks(rules.Presence(p.Node)), false
}

// reaches reports whether silence of a peer means anything: it has answered
// before, or is on our link. One on another link is dead when its lease says so.
func (e *Election) reaches(p *peer) bool { return p.answers || e.self.sameLink(&p.Announcer) }

// wouldOwn reports whether a dead peer would own an address if it were alive.
func (e *Election) wouldOwn(p *peer, s netip.Addr, a *address) bool {
	p.dead = false
	owner, _ := e.elect(s, a)
	p.dead = true
	return owner == p.Node
}

// Next returns when Due has something to do, and false for never.
func (e *Election) Next() (first time.Time, ok bool) {
	if e.mode != rules.OwnershipHash || e.alone {
		return time.Time{}, false
	}
	sooner := func(t time.Time) {
		if !t.IsZero() && (!ok || t.Before(first)) {
			first, ok = t, true
		}
	}
	sooner(e.settleAt)
	for _, c := range e.checks {
		if !c.taken {
			sooner(c.due)
		}
	}
	for _, a := range e.left {
		sooner(a.until)
	}
	for _, until := range e.held {
		sooner(until)
	}
	for _, p := range e.peers {
		if p.expired {
			continue
		}
		if len(e.self.Links) > 0 {
			sooner(p.due)
		}
		if end := p.seen.Add(leaseTime); end.After(e.looked) { // else we were frozen, and look when we are not
			sooner(end)
		}
	}
	return first, ok
}
