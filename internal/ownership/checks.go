// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"slices"
	"time"
)

// check is the question whether a peer answers for an address that would be ours.
type check struct {
	peer    string
	address netip.Addr
	asks    int
	due     time.Time
	// left is true for addresses that were left to the peer when it announced
	// them, false for those of a start.
	left bool
	// taken is true when the peer has answered.
	taken bool
}

// checkAll asks each of those who would be next in line for what would be ours,
// for one address.
func (e *Election) checkAll(now time.Time) {
	was, phase := e.self.Settled, e.phase
	e.self.Settled, e.phase = true, member
	asked := make(map[string]bool)
	for s, a := range e.addresses {
		owner, backup := e.elect(s, a)
		if owner == e.self.Node && backup != "" && !asked[backup] {
			asked[backup] = true
			e.checks = append(e.checks, &check{peer: backup, address: s, due: now})
		}
	}
	e.self.Settled, e.phase, e.asked = was, phase, len(e.checks)
}

// takeBack ends what was left to a peer: who owns it follows from the ranks.
func (e *Election) takeBack(node string) {
	for s, a := range e.left {
		if a.leftTo == node {
			a.leftTo = ""
			delete(e.left, s)
		}
	}
	e.electAll()
}

// leftDue asks whether those still answer to whom addresses were left.
func (e *Election) leftDue(now time.Time) {
	asked := make(map[string]bool)
	for s, a := range e.left {
		if now.Before(a.until) {
			continue
		}
		if !asked[a.leftTo] && !e.isChecking(a.leftTo) {
			asked[a.leftTo] = true
			e.checks = append(e.checks, &check{peer: a.leftTo, address: s, due: now, left: true})
		}
		a.until = now.Add(askLeft)
	}
}

func (e *Election) isChecking(peer string) bool {
	return slices.ContainsFunc(e.checks, func(c *check) bool { return c.left && c.peer == peer })
}

// checksDue goes on with the checks.
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
				e.takeBack(c.peer)
			}
		default:
			c.asks++
			c.due = now.Add(checkWait)
			asks = append(asks, p.asks(c.address)...)
			rest = append(rest, c)
		}
	}
	e.checks = rest
	e.endChecks(now)
	return asks
}

// endChecks takes part after a start, when no check is open any more. While the leases
// tell nothing, those who did not take over take us for what we were: what is theirs to
// take is ours.
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
