// SPDX-License-Identifier: Apache-2.0

package ownership

import "time"

const (
	// reassertWait is how long after the return of a peer that was silent our addresses
	// are announced again: others return with it, and take theirs.
	reassertWait = 300 * time.Millisecond
	// reassertLast is when they are announced once more where the peer is still silent:
	// it may have taken our addresses over later than we have its.
	reassertLast = 3 * time.Second
	// reassertEvery is how often this is done at most because of one peer.
	reassertEvery = 5 * time.Second
)

// reassertion is a time to announce again what is ours, and what a peer may have
// answered for as well, so that routers send to us.
type reassertion struct {
	due  time.Time // zero where nothing is to come
	last time.Time // when it was done
}

// reassertSoon announces our addresses again when those that return with a peer have
// taken theirs.
func (e *Election) reassertSoon(p *peer, now time.Time) {
	if p.reassert.due.IsZero() {
		p.reassert.due = now.Add(reassertWait)
	}
}

// reassertsDue announces again what it is time for.
func (e *Election) reassertsDue(now time.Time) {
	for _, p := range e.peers {
		if due := p.reassert.due; due.IsZero() || now.Before(due) {
			continue
		}
		p.reassert.due = time.Time{}
		e.reassert(p)
		if p.silent && p.excused && now.Sub(p.reassert.last) > reassertLast {
			p.reassert.due = now.Add(reassertLast)
		}
		p.reassert.last = now
	}
}

// reassertNow announces our addresses at once, if that was not done a moment ago: the
// peer answers for them, and hears us.
func (e *Election) reassertNow(p *peer, now time.Time) {
	if now.Sub(p.reassert.last) >= reassertEvery {
		p.reassert.last = now
		e.reassert(p)
	}
}

// reassert announces what is ours and a peer may have answered for.
func (e *Election) reassert(p *peer) {
	for s, a := range e.addresses {
		if covered, _ := p.covers(s); a.owner != e.self.Node || !covered || !a.takes(p.Node) {
			continue
		}
		e.changes = append(e.changes, Change{Address: s, Ours: true, Owner: a.owner, Backup: a.backup, Before: a.owner, Announce: true})
	}
}
