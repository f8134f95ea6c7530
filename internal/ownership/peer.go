// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"time"
)

// peer is another announcer.
type peer struct {
	Announcer
	seen    time.Time // when its lease was last renewed
	expired bool      // its lease has ended
	dead    bool      // it is silent on the link
	misses  int
	asked   time.Time
	due     time.Time // of the next question on the link
	open    bool      // a question is unanswered
	answers bool      // it has answered on the link
}

func (p *peer) live() bool { return !p.expired && !p.dead }

// asks returns questions for an address on each of a peer's links.
func (p *peer) asks(target netip.Addr) []Ask {
	asks := make([]Ask, 0, len(p.Links))
	for _, l := range p.Links {
		asks = append(asks, Ask{To: l.MAC, Target: target})
	}
	return asks
}

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
