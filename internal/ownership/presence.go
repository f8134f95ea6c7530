// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// presenceEvery is how often an announcer that owns addresses, or is next in
	// line, is asked whether it is alive, by each other announcer and whatever the
	// number of addresses; and how often one is that is gone.
	presenceEvery = time.Second
	// presenceWait is how long the first answer may take, and presenceRetry how long
	// those to the questions may take that follow one which was not answered.
	presenceWait, presenceRetry = 150 * time.Millisecond, 100 * time.Millisecond
	// presenceMisses unanswered questions in a row make a peer silent: 2.35 seconds
	// after its last sign of life. Where one frame of twenty is lost, all of them are
	// lost once in 10^13 times.
	presenceMisses = 13
	// vouchMisses of them end what this node tells of a peer to those who ask whether
	// it is heard here: 1.75 seconds after its last sign of life, so that the word of
	// a witness does not outlive a peer for long.
	vouchMisses = 7
	// askMisses of them have witnesses asked as well, at most maxWitnesses, with each
	// question. vouchFor is how many questions their word holds for.
	askMisses, maxWitnesses, vouchFor = 8, 3, 5
	// idleEvery is how often a peer is asked that owns nothing, and is not next in
	// line either, or is on another link for all that is known.
	idleEvery = 5 * time.Second
	// goneEvery is how often a peer is asked that is gone, for goneFor after it was seen
	// last; then it is asked like one that is there.
	goneEvery, goneFor = 500 * time.Millisecond, 5 * time.Minute
	// returnAsks is how often in a row the other silent peers are asked when one returns.
	returnAsks = 3
)

// peersDue asks those peers whose turn it is.
func (e *Election) peersDue(now time.Time) []Ask {
	var asks []Ask
	died := false
	for _, p := range e.peers {
		if now.Before(p.due) {
			continue
		}
		if p.expired || p.silent {
			asks = append(asks, e.goneDue(p, now)...)
			continue
		}
		more, silent := e.peerDue(p, now)
		asks, died = append(asks, more...), died || silent
	}
	if died {
		e.judge(now)
		e.electAll()
	}
	return append(asks, e.routersDue(now)...)
}

// peerDue asks a peer whether it is alive, and others whether they hear it when it does
// not answer. silent is true when it has just turned out to be gone: one that was never
// heard cannot fall silent, because the link may not let its answers pass.
func (e *Election) peerDue(p *peer, now time.Time) (asks []Ask, silent bool) {
	counts := p.answers && e.stands[p.Node] > 0
	if p.open && counts {
		p.misses++
		if p.misses >= presenceMisses && p.misses-p.vouched >= vouchFor {
			p.silent, p.silentAt, p.open, p.returned, p.excused, p.due = true, now, false, false, false, now.Add(presenceEvery)
			return nil, true
		}
	}
	if p.open && !p.answers {
		p.unheard++
	}
	wait := presenceEvery
	switch {
	case !counts && (p.answers || !e.self.sameLink(&p.Announcer)):
		wait = idleEvery
	case counts && p.misses == 0:
		wait = presenceWait
	case counts:
		wait = presenceRetry
	}
	p.open, p.asked, p.due = true, now, now.Add(wait)
	asks = p.asks(rules.Presence(p.Node))
	if p.misses == 0 && p.answers {
		asks = append(asks, e.auditDue(p, now)...)
	}
	if p.misses >= askMisses {
		asks = append(asks, e.witnesses(p)...)
	}
	return asks, false
}

// witnesses returns the question whether a peer is heard to others that are heard here.
func (e *Election) witnesses(p *peer) []Ask {
	var asks []Ask
	n := 0
	for _, w := range e.peers { // in any order, so that the next question goes to others
		if w != p && w.live() && w.heard() && w.misses == 0 {
			asks = append(asks, w.asks(rules.Witness(p.Node))...)
			if n++; n == maxWitnesses {
				break
			}
		}
	}
	return asks
}

// goneDue asks a peer that is gone whether it is there again, and whether it answers for
// an address that was its own.
func (e *Election) goneDue(p *peer, now time.Time) []Ask {
	if p.open {
		p.returned = false
	}
	wait := presenceEvery
	switch {
	case p.hurry > 0:
		p.hurry--
		wait = presenceRetry
	case now.Sub(p.renewed) < goneFor:
		wait = goneEvery
	}
	p.open, p.asked, p.due = true, now, now.Add(wait)
	asks := p.asks(rules.Presence(p.Node))
	if e.findProbe(p) {
		asks = append(asks, p.asks(p.probe)...)
	}
	return asks
}

// findProbe looks for an address that we own, and that a peer which is gone owned or
// would own.
func (e *Election) findProbe(p *peer) bool {
	if a := e.addresses[p.probe]; a != nil && a.owner == e.self.Node && e.wouldOwn(p, p.probe, a) {
		return true
	}
	if p.searched == e.elections {
		return false
	}
	p.searched = e.elections
	for s, a := range e.addresses {
		if a.owner == e.self.Node && e.wouldOwn(p, s, a) {
			p.probe = s
			return true
		}
	}
	return false
}

// wouldOwn reports whether a peer that is gone would own an address if it were there.
func (e *Election) wouldOwn(p *peer, s netip.Addr, a *address) bool {
	expired, silent := p.expired, p.silent
	p.expired, p.silent = false, false
	owner, _ := e.elect(s, a)
	p.expired, p.silent = expired, silent
	return owner == p.Node
}

// present notes that the daemon with a presence address is alive, or that it is heard by
// the peer that answers for its witness address.
func (e *Election) present(s Sign, now time.Time) {
	for _, p := range e.peers {
		switch {
		case s.Address == rules.Presence(p.Node) && p.has(s.From):
			p.spoke()
			if p.silent || p.expired {
				e.heardAgain(p, now)
			} else {
				p.due = p.asked.Add(presenceEvery)
			}
			return
		case p.misses >= askMisses && s.Address == rules.Witness(p.Node) && !p.has(s.From):
			p.vouched = p.misses
			return
		}
	}
}

// heardAgain takes in that a peer which was silent answers again. Its lease tells what
// it counts on, if that was renewed in the meantime. Else the next renewal does, or an
// answer for what was its: it may be a daemon that has started anew and leaves all to us.
func (e *Election) heardAgain(p *peer, now time.Time) {
	switch {
	case !p.expired && p.excused, !p.expired && p.renewed.After(p.silentAt) && !e.Frozen(now):
		e.revive(p, now)
	default:
		p.returned = true
	}
}

// revive notes that a peer takes part again. What it may have answered for in the
// meantime, and is ours, is announced again. Where one returns others do, and are asked
// at once.
func (e *Election) revive(p *peer, now time.Time) {
	if p.live() && !p.silent {
		return
	}
	if p.expired {
		p.expired, p.seen = false, now
	}
	p.forget(now)
	p.answers = true
	for _, o := range e.peers {
		if o.silent {
			o.due, o.hurry = now, returnAsks
		}
	}
	e.electAll()
	e.reassertSoon(p, now)
}
