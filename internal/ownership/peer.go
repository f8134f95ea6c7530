// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"slices"
	"time"
)

// peer is another announcer.
type peer struct {
	Announcer

	// What its lease says.
	seen    time.Time // when it was last renewed, or could not be for all that we know
	renewed time.Time // when a renewal was last seen
	expired bool      // it has ended

	// What the link says.
	answers  bool      // it has answered there, so that its silence means something
	open     bool      // a question is unanswered
	misses   int       // unanswered questions in a row
	unheard  int       // unanswered questions to a peer that has never answered
	vouched  int       // misses when another announcer last told that it hears it
	asked    time.Time // when it was last asked, and is to be asked next
	due      time.Time
	told     bool // others may learn here that it is heard
	silent   bool // it no longer answers
	silentAt time.Time
	returned bool // it has answered since, but nothing tells yet what it counts on
	excused  bool // it is alive all the same, as its lease shows
	hurry    int  // how many questions follow without a pause

	probe    netip.Addr // an address that was its own, and that we own
	searched uint64     // the election that no such address was found in
	reassert reassertion
	audit    audit
}

// live reports whether the peer takes part.
func (p *peer) live() bool { return !p.expired && !p.dead() }

// dead reports whether the link says that the peer is no longer there.
func (p *peer) dead() bool { return p.silent && !p.excused }

// heard reports whether the peer has answered on the link a moment ago. Another
// announcer may count on it.
func (p *peer) heard() bool { return p.answers && !p.silent && p.misses < vouchMisses }

// spoke notes that the peer has answered on the link.
func (p *peer) spoke() {
	p.open, p.answers, p.misses, p.unheard, p.vouched = false, true, 0, 0, 0
}

// forget forgets what the link says of the peer.
func (p *peer) forget(now time.Time) {
	p.open, p.misses, p.vouched, p.due = false, 0, 0, now
	p.silent, p.returned, p.excused = false, false, false
}

// sameLinks reports whether two records of an announcer have the same uplinks, on the
// same links.
func sameLinks(a, b *Announcer) bool {
	return slices.EqualFunc(a.Links, b.Links, func(x, y Link) bool { return x.MAC == y.MAC && slices.Equal(x.OnLink, y.OnLink) })
}

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

// Ask is a solicitation to send: who answers is there, whatever the leases say.
type Ask struct {
	// To is the station that is asked. It is zero for a router, which is asked by
	// its address alone.
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
