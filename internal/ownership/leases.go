// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// leaseTime is how long an announcer counts that does not renew its lease.
	leaseTime = 10 * time.Second
	// freezeAfter is how long our own renewals may go unseen, or the first list be
	// ago, before we judge nobody by theirs: it may be us who is cut off. It is less
	// than leaseTime.
	freezeAfter = 7 * time.Second
)

// Heard takes in that the leases are as the API server has them.
func (e *Election) Heard(now time.Time) {
	if e.Frozen(now) { // nobody could renew while we could not see it
		for _, p := range e.peers {
			p.seen = now
		}
	}
	e.ownSeen = now
}

// Renewed takes a renewal of a lease over.
func (e *Election) Renewed(a Announcer, now time.Time) {
	if a.Node == e.self.Node {
		if a.Holder != e.self.Holder { // of the last process
			e.resume = e.resume || a.Settled
			return
		}
		e.Heard(now)
		was := e.published
		e.published = a
		if !was.same(a) { // which may explain to others what was left to them
			for _, l := range e.left {
				l.until = now
			}
		}
		e.electIf(was.Holder != a.Holder || was.Excluded != a.Excluded || was.Cordoned != a.Cordoned || was.Weight != a.Weight)
		return
	}
	p := e.peers[a.Node]
	if p == nil {
		e.peers[a.Node] = &peer{Announcer: a, seen: now, due: now}
		e.electAll()
		return
	}
	back := p.expired || p.dead && (p.Holder != a.Holder || p.Settled && !a.Settled)
	changed := back || !p.same(a)
	p.answers = p.answers && p.Holder == a.Holder && !changed // it may be on another link now
	p.Announcer, p.seen, p.expired = a, now, false
	if back {
		p.dead, p.misses, p.open, p.due = false, 0, false, now
	}
	if changed {
		e.electAll()
	}
}

// Left takes the end of a lease over: the announcer has stopped as planned.
func (e *Election) Left(node string) {
	if _, known := e.peers[node]; known {
		delete(e.peers, node)
		e.electAll()
	}
}

// Frozen reports whether the leases tell nothing: neither a first list nor a renewal
// of our own was seen of late.
func (e *Election) Frozen(now time.Time) bool {
	return e.mode == rules.OwnershipHash && !e.alone && now.Sub(e.ownSeen) > freezeAfter
}

// expire ends the leases that were not renewed, while we can tell.
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
