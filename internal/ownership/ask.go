// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// checkWait and checkAsks are for the question whether another announcer still
	// answers for what was left to it, and startWait is checkWait for the question of a
	// start, whether it has taken over what would be ours: nobody answers meanwhile.
	checkWait = 125 * time.Millisecond
	checkAsks = 4
	startWait = 60 * time.Millisecond
)

const (
	// deferFor is how long an address is left to a peer that has just announced it,
	// until the leases explain why.
	deferFor = 5 * time.Second
	// askLeft is how often that peer is asked meanwhile, and askLeftFirst how often in the
	// time that leftFresh lasts: it may have taken the address for a moment only.
	askLeft, askLeftFirst, leftFresh = time.Second, 250 * time.Millisecond, 3 * time.Second
)

// Due performs what is due at now, and returns the questions to send.
func (e *Election) Due(now time.Time) []Ask {
	if e.mode != rules.OwnershipHash || e.alone {
		return nil
	}
	e.looked = now
	if !e.settleAt.IsZero() && !now.Before(e.settleAt) && e.phase == member {
		e.setSettled(true, now)
		e.electAll()
	}
	e.noteCutOff(now)
	e.expire(now)
	e.holdsDue(now)
	e.leftDue(now)
	e.reassertsDue(now)
	asks := e.checksDue(now)
	if len(e.self.Links) == 0 {
		return asks
	}
	return append(asks, e.peersDue(now)...)
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
		if len(e.self.Links) > 0 {
			sooner(p.due)
		}
		sooner(p.reassert.due)
		if end := p.seen.Add(leaseTime); !p.expired && end.After(e.looked) { // else we were frozen, and look when we are not
			sooner(end)
		}
	}
	if len(e.self.Links) > 0 && e.doubts() {
		sooner(e.routers.due)
	}
	return first, ok
}

// checkAll begins to check whether others have taken our addresses over: one address
// for each peer that is a backup.
func (e *Election) checkAll(now time.Time) {
	was, phase, published := e.self.Settled, e.phase, e.published
	e.self.Settled, e.phase = true, member
	e.published = e.self
	asked := make(map[string]bool)
	for s, a := range e.addresses {
		owner, backup := e.elect(s, a)
		if owner == e.self.Node && backup != "" && !asked[backup] {
			asked[backup] = true
			e.checks = append(e.checks, &check{peer: backup, address: s, due: now})
		}
	}
	e.self.Settled, e.phase, e.published, e.asked = was, phase, published, len(e.checks)
}

// takeBack no longer leaves addresses to a peer: the ranks decide again who owns them.
func (e *Election) takeBack(node string) {
	for s, a := range e.left {
		if a.leftTo == node {
			a.leftTo = ""
			delete(e.left, s)
		}
	}
	e.electAll()
}

// leftDue begins to check whether the peers that addresses were left to still answer.
func (e *Election) leftDue(now time.Time) {
	asked, checked := make(map[string]int), make(map[netip.Addr]bool)
	for _, c := range e.checks {
		if c.left {
			asked[c.peer]++
			checked[c.address] = true
		}
	}
	for s, a := range e.left {
		if now.Before(a.until) {
			continue
		}
		if !checked[s] && (a.hurry || asked[a.leftTo] < leftAsks) {
			asked[a.leftTo]++
			e.checks = append(e.checks, &check{peer: a.leftTo, address: s, due: now, left: true})
		}
		a.until, a.hurry = now.Add(askLeft), false
		if now.Sub(a.since) < leftFresh {
			a.until = now.Add(askLeftFirst)
		}
	}
}

// askLeftSoon has a peer asked now about what was left to it, or all where it has no name.
func (e *Election) askLeftSoon(node string, now time.Time) {
	for _, a := range e.left {
		if node == "" || a.leftTo == node {
			a.until = now
		}
	}
}

// checksDue advances the checks, and returns the questions to send.
func (e *Election) checksDue(now time.Time) []Ask {
	var asks []Ask
	rest := e.checks[:0]
	for _, c := range e.checks {
		p := e.peers[c.peer]
		switch {
		case c.taken || now.Before(c.due):
			rest = append(rest, c)
		case p == nil || c.asks >= checkAsks: // it does not answer
			if c.left {
				e.giveBack(c)
			}
		default:
			c.asks++
			c.due = now.Add(startWait)
			if c.left {
				c.due = now.Add(checkWait)
			}
			asks = append(asks, p.asks(c.address)...)
			rest = append(rest, c)
		}
	}
	e.checks = rest
	e.endChecks(now)
	return asks
}

// endChecks makes this node a member once the last check of its start has ended. While
// the election is frozen, peers that did not take over still count on us: only addresses
// whose backup has taken over are left to it.
func (e *Election) endChecks(now time.Time) {
	if e.phase != checking || slices.ContainsFunc(e.checks, func(c *check) bool { return !c.taken }) {
		return
	}
	taken := make(map[string]bool)
	for _, c := range e.checks {
		taken[c.peer] = true
	}
	asked := e.asked
	e.checks, e.asked, e.recordChanged = nil, 0, true
	if len(taken) == 0 || len(taken) == asked || !e.Frozen(now) {
		e.enter(len(taken) == 0, now)
		return
	}
	e.enter(true, now)
	for s, a := range e.addresses {
		if a.owner == e.self.Node && taken[a.backup] {
			a.leftTo, a.since, a.until = a.backup, now, now.Add(askLeft)
			e.left[s] = a
			e.reelect(s, a)
		}
	}
}
