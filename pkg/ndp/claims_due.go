// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"net/netip"
	"time"
)

// Next returns when Due or Digest has something to do, and false for never.
func (c *Claims) Next() (first time.Time, ok bool) {
	earlier := func(at time.Time) {
		if !ok || at.Before(first) {
			first, ok = at, true
		}
	}
	for q, queue := range c.queues {
		if len(queue) == 0 {
			continue
		}
		due := queue[0].due
		if q < len(c.free) && due.Before(c.free[q]) {
			due = c.free[q]
		}
		earlier(due)
	}
	if c.digest.any() {
		earlier(c.digested.Add(claimDigest))
	}
	return first, ok
}

// Due returns the addresses whose stations have to be asked now, and the claims
// that stood and have ended, since the station no longer answers or the answers
// turned out to be forged.
func (c *Claims) Due(now time.Time) (ask []netip.Addr, ended map[netip.Addr]Claim) {
	for claim := c.first(claimOpen, now); claim != nil; claim = c.first(claimOpen, now) {
		switch {
		case !claim.Stands:
			c.fail(claim, now)
		case claim.tries < claimTries:
			c.move(claim, claimKnown, now.Add(claimAgain-claimWindow+upTo(claimAgainSpread)))
		default:
			if ended == nil {
				ended = make(map[netip.Addr]Claim)
			}
			ended[claim.address] = *claim
			c.digest.Ended++
			if claim.strays > claimStrays {
				c.fail(claim, now)
			} else {
				c.forget(claim)
			}
		}
	}
	for claim := c.first(claimResting, now); claim != nil; claim = c.first(claimResting, now) {
		c.forget(claim)
	}
	for _, q := range []claimQueue{claimKnown, claimFresh} {
		for claim := c.first(q, now); claim != nil; claim = c.first(q, now) {
			if !c.limits[q].AllowN(now, 1) {
				c.free[q] = now.Add(untilToken(c.limits[q], now))
				break
			}
			claim.tries++
			claim.asked = now
			c.move(claim, claimOpen, now.Add(claimWindow))
			ask = append(ask, claim.address)
		}
	}
	return ask, ended
}

// first returns the claim at the head of a queue if it is due.
func (c *Claims) first(q claimQueue, now time.Time) *Claim {
	if len(c.queues[q]) == 0 || c.queues[q][0].due.After(now) {
		return nil
	}
	return c.queues[q][0]
}

// NotAsked takes back that a station was asked, as when the device was busy
// ([ErrBusy]) or down: its silence means nothing.
func (c *Claims) NotAsked(a netip.Addr, now time.Time) {
	claim := c.byAddress[a]
	if claim == nil || claim.queue != claimOpen {
		return
	}
	claim.tries--
	claim.asked = time.Time{}
	q := claimFresh
	if claim.Stands || claim.answers > 0 {
		q = claimKnown
	}
	c.move(claim, q, now.Add(claimAgain+upTo(claimFirst)))
}
