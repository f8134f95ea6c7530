// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"slices"
)

const (
	// MaxAnnouncers is how many fit nodes share the service addresses of a link.
	// Each hears every renewal of the others, so that the traffic with the API
	// server grows with the square; more of them make no address safer.
	MaxAnnouncers = 32
	// MaxSeats is how many nodes announce in a cluster, on all links together, before
	// a link has to do with leastOnLink.
	MaxSeats = 128
	// leastOnLink is how many of a link always do: one, and one that takes over.
	leastOnLink = 2
)

// Seat is a place among the announcers.
type Seat struct {
	Announcer
	// Taken is when the lease was made, by the API server's clock and in seconds
	// since 1970; 0 for a node that has none yet.
	Taken int64
}

// before reports whether a seat was taken before another: all nodes agree on it.
func (s *Seat) before(o *Seat) bool {
	switch {
	case s.Taken == o.Taken:
		return s.Node < o.Node
	case s.Taken == 0 || o.Taken == 0:
		return o.Taken == 0
	}
	return s.Taken < o.Taken
}

// Redundant reports whether enough others announce who were there first: on the link, or
// at all, if the link has some. On the link only those count that go before this node or
// beside it: on-link before fit, as in [Announcer.rank]. One without an uplink is needed
// nowhere. all is how many announce on all links, as far as it is known: others are
// perhaps those of ours alone.
func Redundant(self Seat, others []Seat, all int) bool {
	beside, before := 0, 0
	level := self.level()
	for i := range others {
		o := &others[i]
		if !o.before(&self) {
			continue
		}
		before++
		if o.near(&self.Announcer) && o.level() >= level {
			beside++
		}
	}
	all = max(all, before)
	if len(self.Links) == 0 {
		return before >= MaxAnnouncers
	}
	return beside >= MaxAnnouncers || all >= MaxSeats && beside >= leastOnLink
}

// level returns the weightiest parts of the announcer's tier, for the addresses of its
// rules as a whole: on-link where they are so in part, or nothing else is known.
func (a *Announcer) level() uint8 {
	var level uint8
	if slices.ContainsFunc(a.Links, func(l Link) bool {
		return len(l.OnLink) == 0 || len(l.Prefixes) == 0 || overlapping(l.Prefixes, l.OnLink)
	}) {
		level |= tierOnLink
	}
	if a.Excluded == "" {
		level |= tierFit
	}
	return level
}

// near reports whether two announcers may take the same addresses over from each
// other: both have an uplink, and for all that is known they are on one link, with
// rules that overlap.
func (a *Announcer) near(o *Announcer) bool {
	return len(a.Links) > 0 && len(o.Links) > 0 && a.sameLink(o) && overlap(a, o, func(l Link) []netip.Prefix { return l.Prefixes })
}

// sameLink reports whether two announcers are on one link, as far as their
// routers' prefixes tell.
func (a *Announcer) sameLink(o *Announcer) bool {
	return overlap(a, o, func(l Link) []netip.Prefix { return l.OnLink })
}

// overlap reports whether prefixes of two announcers overlap, or one has none
// that could tell.
func overlap(a, b *Announcer, prefixes func(Link) []netip.Prefix) bool {
	all := func(a *Announcer) (ps []netip.Prefix) {
		for _, l := range a.Links {
			ps = append(ps, prefixes(l)...)
		}
		return ps
	}
	as, bs := all(a), all(b)
	return len(as) == 0 || len(bs) == 0 || overlapping(as, bs)
}

func overlapping(as, bs []netip.Prefix) bool {
	return slices.ContainsFunc(as, func(p netip.Prefix) bool { return slices.ContainsFunc(bs, p.Overlaps) })
}
