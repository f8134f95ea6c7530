// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// leaseTime is how long a lease is valid after its last renewal.
	leaseTime = 10 * time.Second
	// freezeAfter is how long we may go without seeing a renewal of our own, or the
	// first list, before we stop judging peers by their leases: we may be the one
	// that is cut off. It is less than leaseTime.
	freezeAfter = 7 * time.Second
)

// Heard notes that the leases are current: the API server has just listed them.
func (e *Election) Heard(now time.Time) {
	if e.Frozen(now) { // nobody could renew while we could not see it
		for _, p := range e.peers {
			p.seen = now
		}
		e.stepBack(now)
		e.cutOff = false
	}
	e.ownSeen = now
}

// Renewed updates the view after a renewal of a lease.
func (e *Election) Renewed(a Announcer, now time.Time) {
	if a.Node == e.self.Node {
		e.ownRenewed(a, now)
		return
	}
	e.stepBack(now)
	p := e.peers[a.Node]
	if p == nil {
		p = &peer{Announcer: a, seen: now, renewed: now, due: now, answers: slices.Contains(e.published.Hears, a.Node)}
		e.peers[a.Node] = p
		e.electAll()
		if a.Settled && e.phase == member { // it has owned what it could, like us
			p.reassert.due = now
		}
		return
	}
	begunAnew := p.Holder != a.Holder
	expired, revived := p.expired, p.silent && (begunAnew || p.returned) // and says what it counts on
	changed := expired || revived || !p.same(a)
	// It may be on another link now, or the link may keep its answers from us.
	p.answers = p.answers && sameLinks(&p.Announcer, &a) && (!revived || p.returned)
	if revived || !sameLinks(&p.Announcer, &a) {
		p.forget(now)
	}
	p.Announcer, p.seen, p.renewed, p.expired = a, now, now, false
	if changed { // which may explain what was left to it
		e.askLeftSoon(p.Node, now)
	}
	if e.judge(now) || changed {
		e.electAll()
	}
	e.audited(p)
	if (expired || revived) && p.live() {
		p.due = now
		e.reassertSoon(p, now)
	}
}

// ownRenewed takes in what the API server has of us now.
func (e *Election) ownRenewed(a Announcer, now time.Time) {
	changed := !e.published.same(a)
	e.published = a
	if a.Holder == e.self.Holder {
		e.Heard(now)
	} else { // of the last process
		e.resume = e.resume || a.Settled
		for _, node := range a.Hears { // which heard them
			if p := e.peers[node]; p != nil {
				p.answers = true
			}
		}
	}
	if changed { // which may explain to others what was left to them
		e.askLeftSoon("", now)
	}
	e.electIf(changed)
}

// Left removes an announcer whose lease was deleted: it has stopped as planned. Where
// it was ours, others no longer count on us until it is written again.
func (e *Election) Left(node string) {
	if node == e.self.Node {
		e.published, e.recordChanged = Announcer{}, true
		e.electAll()
		return
	}
	if _, known := e.peers[node]; known {
		delete(e.peers, node)
		e.electAll()
	}
}

// Frozen reports whether the leases cannot be trusted: neither a first list nor a
// renewal of our own was seen lately.
func (e *Election) Frozen(now time.Time) bool {
	return e.mode == rules.OwnershipHash && !e.alone && now.Sub(e.ownSeen) > freezeAfter
}

// expire marks peers whose leases were not renewed in time, unless we are frozen.
func (e *Election) expire(now time.Time) {
	if e.Frozen(now) {
		return
	}
	ended := false
	for _, p := range e.peers {
		if !p.expired && now.Sub(p.seen) >= leaseTime {
			p.expired, ended = true, true
		}
	}
	if ended {
		e.electAll()
	}
}

// Speaks reports whether Record returns the present state. A node that is still
// checking on the link who has taken over does not know it yet.
func (e *Election) Speaks() bool { return e.begun && e.phase != checking }

// Record returns the record for our lease, with the nodes that should announce as
// well. While Speaks is false the record does not change: others would leave
// addresses to us that we do not take.
func (e *Election) Record(requests ...string) string {
	if e.phase != checking {
		e.lastRecord = e.self
		e.lastRecord.Joining = !e.begun
		e.lastRecord.Hears, e.lastRecord.Router, e.lastRecord.Owns = e.hears(), e.routers.reach, e.owns[e.self.Node]
		if e.Frozen(e.looked) && e.isBehind() { // this is what ends it
			e.lastRecord.Settled = false
		}
	}
	e.lastRecord.Requests = requests
	return e.lastRecord.Record()
}

// RecordChanged reports whether the record has changed since the last call.
func (e *Election) RecordChanged() bool {
	changed := e.recordChanged
	e.recordChanged = false
	return changed
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

// Hear updates the view after an advertisement of a peer.
func (e *Election) Hear(s Sign, now time.Time) {
	if e.IsRouter(s.Address) {
		e.routerAnswered(now)
		return
	}
	p := e.peerOf(s.From)
	if p == nil || e.mode != rules.OwnershipHash || e.alone {
		return
	}
	switch {
	case rules.PresencePrefix().Contains(s.Address):
		e.present(s, now)
	case s.Announced:
		e.announced(p, s.Address, now)
	default:
		e.answered(p, s.Address, now)
	}
}

// announced notes that a peer has taken an address over.
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
	a.leftTo, a.since, a.until = p.Node, now, now.Add(askLeftFirst)
	e.left[s] = a
	e.reelect(s, a)
}

// answered notes that a peer answers for an address.
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
			if e.contend(p, s) { // the others have gone on without us
				e.setSettled(false, now)
				e.takeBack(p.Node)
			}
		}
		return
	}
	a := e.addresses[s]
	switch {
	case a == nil || a.owner != e.self.Node:
	case p.expired && !e.Frozen(now): // it cannot know better, but hears us
		e.reassertNow(p, now)
	case !p.live() || p.silent:
		e.revive(p, now)
	default:
		e.disputed(p, s, now)
	}
}
