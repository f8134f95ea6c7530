// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"net/netip"
	"time"
)

const (
	// claimAgain is the time between solicitations to the same claimant,
	// RETRANS_TIMER of RFC 4861 §10.
	claimAgain = time.Second
	// claimTries is how many of them go unanswered before the claim ends,
	// MAX_UNICAST_SOLICIT of RFC 4861 §10.
	claimTries = 3
	// claimCheck is how long a claim stands before the claimant is asked again.
	// All stations of the address's group hear it, so it is not less.
	claimCheck = 10 * time.Second
	// maxClaims bounds the claims of an uplink.
	maxClaims = 1024
)

// Claims are the addresses that other stations on an uplink use although we
// would answer for them. A sign alone may be forged or old, so the station is
// asked; when it answers the claim stands, until it no longer does. Claims send
// nothing themselves and are not safe for concurrent use.
type Claims struct {
	byAddress map[netip.Addr]*Claim
}

// Claim is one such address.
type Claim struct {
	MAC   [6]byte
	Since time.Time
	// Stands is true when the station has answered for the address.
	Stands bool

	asked int
	due   time.Time // of the next solicitation, or the end
}

// Sight takes a sign in. ask is true when the station has to be asked now, begun
// when this is the first sign, and stands when the claim stands from now on.
func (c *Claims) Sight(s Sighting, now time.Time) (ask, begun, stands bool) {
	known := c.byAddress[s.Address]
	if known != nil && known.MAC == s.MAC {
		// Only an answer shows that the station is there, and only with the
		// Override flag that it is no proxy (RFC 4861 §7.2.4, §7.2.8). Linux
		// sets the flag in answers to multicast solicitations alone.
		if !s.Solicited || !s.Override {
			return false, false, false
		}
		stands = !known.Stands
		known.Stands, known.asked, known.due = true, 0, now.Add(claimCheck)
		return false, false, stands
	}
	// A proxy's answer is no claim to own the address (RFC 4861 §7.2.8).
	if s.Advertisement && !s.Override || known != nil && (known.Stands || now.Before(known.due)) || known == nil && len(c.byAddress) >= maxClaims {
		return false, false, false
	}
	if c.byAddress == nil {
		c.byAddress = make(map[netip.Addr]*Claim)
	}
	c.byAddress[s.Address] = &Claim{MAC: s.MAC, Since: now, asked: 1, due: now.Add(claimAgain)}
	return true, known == nil, false
}

// Drop forgets the claim to an address, and reports whether it stood: the
// address has just appeared behind us, or it is none of ours.
func (c *Claims) Drop(a netip.Addr) bool {
	known := c.byAddress[a]
	delete(c.byAddress, a)
	return known != nil && known.Stands
}

// Next returns when Due has something to do, and false for never.
func (c *Claims) Next() (first time.Time, ok bool) {
	for _, claim := range c.byAddress {
		if !ok || claim.due.Before(first) {
			first, ok = claim.due, true
		}
	}
	return first, ok
}

// Due returns the addresses whose claimants have to be asked now, and those
// whose claims have ended since they did not answer.
func (c *Claims) Due(now time.Time) (ask []netip.Addr, ended map[netip.Addr]Claim) {
	for a, claim := range c.byAddress {
		switch {
		case claim.due.After(now):
		case claim.asked >= claimTries:
			if ended == nil {
				ended = make(map[netip.Addr]Claim)
			}
			ended[a] = *claim
			delete(c.byAddress, a)
		default:
			ask = append(ask, a)
			claim.asked++
			claim.due = now.Add(claimAgain)
		}
	}
	return ask, ended
}

// All yields the claims by their address.
func (c *Claims) All(yield func(netip.Addr, Claim) bool) {
	for a, claim := range c.byAddress {
		if !yield(a, *claim) {
			return
		}
	}
}

// Clear forgets everything, as when the uplink is lost.
func (c *Claims) Clear() { c.byAddress = nil }
