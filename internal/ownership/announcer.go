// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// MaxWeight is the largest share of addresses that a node may ask for, in
// multiples of a node of weight 1.
const MaxWeight = 16

// Announcer is what a node tells the others of itself.
type Announcer struct {
	// Node is the name of the node; the lease has it.
	Node string `json:"-"`
	// Holder tells one process of the node from the next; the lease has it.
	Holder string `json:"-"`
	// Links are its ready uplinks.
	Links []Link `json:"links"`
	// Weight is its share of the addresses, 1 to MaxWeight.
	Weight int `json:"weight"`
	// Settled is false for a node that has returned a moment ago, so that a
	// crash moves its addresses once and not back and forth.
	Settled bool `json:"settled"`
	// Joining is true for a node that has taken a seat and does not know of
	// services yet: nobody counts on it.
	Joining bool `json:"joining,omitempty"`
	// Requests are nodes that should announce although there are enough: a Local policy
	// leaves an address to them.
	Requests []string `json:"wants,omitempty"`
	// Hears are the names of the announcers that it hears on its links, in order; nil in
	// records of versions that do not tell. Router is what it knows of the way to its
	// routers. Neither ranks: they tell others whose silence means something.
	Hears  []string `json:"hears"`
	Router Reach    `json:"router,omitempty"`
	// Owns is how many addresses it owns by its own view, where Hears is not nil.
	Owns int `json:"owns,omitempty"`
	// Excluded says why the node should not own anything, "" if it may: what
	// its Node says, or a service proxy that is not well.
	Excluded string `json:"excluded,omitempty"`
	// Cordoned nodes come last.
	Cordoned bool `json:"cordoned,omitempty"`

	seed uint64 // of the name, 0 until it is needed
}

// Link is an uplink of an announcer.
type Link struct {
	MAC MAC `json:"mac"`
	// Prefixes are those of its rules for services.
	Prefixes []netip.Prefix `json:"prefixes"`
	// OnLink are the prefixes that a router expects there.
	OnLink []netip.Prefix `json:"on_link"`
	// Addresses are those of the uplink itself, in order, which no other node may
	// announce. Records of older versions have none.
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

// MAC is a link-layer address.
type MAC [6]byte

// MarshalText writes the address as usual.
func (m MAC) MarshalText() ([]byte, error) { return []byte(net.HardwareAddr(m[:]).String()), nil }

// UnmarshalText reads an address as MarshalText writes it.
func (m *MAC) UnmarshalText(b []byte) error {
	hw, err := net.ParseMAC(string(b))
	if err != nil || len(hw) != len(m) {
		return fmt.Errorf("%q is not a link-layer address of 6 octets", b)
	}
	*m = MAC(hw)
	return nil
}

// Record returns what goes into the lease. Letters are not escaped: the admission policy
// reads it without a parser.
func (a Announcer) Record() string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(a); err != nil { // of types that always can be
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// ParseRecord reads the record of a node's lease.
func ParseRecord(node, holder, record string) (Announcer, error) {
	a := Announcer{Node: node, Holder: holder}
	if err := json.Unmarshal([]byte(record), &a); err != nil {
		return Announcer{}, fmt.Errorf("read the record of announcer %s: %w", node, err)
	}
	a.Weight = min(max(a.Weight, 1), MaxWeight)
	return a, nil
}

// same reports whether two announcers make the same order of nodes.
func (a Announcer) same(o Announcer) bool {
	return a.Settled == o.Settled && a.Joining == o.Joining && a.Excluded == o.Excluded && a.Cordoned == o.Cordoned && a.Weight == o.Weight &&
		slices.EqualFunc(a.Links, o.Links, func(x, y Link) bool {
			return x.MAC == y.MAC && slices.Equal(x.Prefixes, y.Prefixes) && slices.Equal(x.OnLink, y.OnLink)
		})
}

// sameAddresses reports whether the uplinks of two announcers have the same addresses.
func (a Announcer) sameAddresses(o Announcer) bool {
	return slices.EqualFunc(a.Links, o.Links, func(x, y Link) bool { return slices.Equal(x.Addresses, y.Addresses) })
}

// covers reports whether a rule of the announcer covers an address, and whether
// a router expects the address on its link.
func (a *Announcer) covers(s netip.Addr) (covered, onLink bool) {
	for _, l := range a.Links {
		if in(l.Prefixes, s) {
			covered = true
			onLink = onLink || in(l.OnLink, s)
		}
	}
	return covered, onLink
}

// has reports whether an uplink of the announcer has that MAC address.
func (a *Announcer) has(m MAC) bool {
	return slices.ContainsFunc(a.Links, func(l Link) bool { return l.MAC == m })
}

func in(ps []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(a) })
}

// rank is where an announcer stands for an address: the greater is the better.
type rank struct {
	tier  uint8
	share uint16 // of the address' services that the node serves
	score uint64
	node  string // of two equal scores, which do not happen
}

// The parts of a tier, the weightiest first. On-link goes before fit: nobody asks a
// node for an address that no router expects on its link.
const (
	tierKnown   = 16 // to the others, by its lease
	tierOnLink  = 8
	tierFit     = 4
	tierSettled = 2
	tierOpen    = 1 // not cordoned
)

// servesMost are the parts of a tier that count before how much a node serves: one that
// is asked, and may own the address.
const servesMost = tierFit | tierOnLink

func (r rank) better(o rank) bool {
	if a, b := r.tier&servesMost, o.tier&servesMost; a != b {
		return a > b
	}
	if r.share != o.share {
		return r.share > o.share
	}
	if r.tier != o.tier {
		return r.tier > o.tier
	}
	if r.score != o.score {
		return r.score > o.score
	}
	return r.node < o.node
}

// rank returns where the announcer stands for an address, and false when it is
// no candidate.
func (a *Announcer) rank(s netip.Addr) (rank, bool) {
	covered, onLink := a.covers(s)
	if !covered || a.Joining {
		return rank{}, false
	}
	r := rank{node: a.Node, score: a.score(s), tier: tierKnown}
	for _, part := range []struct {
		has bool
		is  uint8
	}{{onLink, tierOnLink}, {a.Excluded == "", tierFit}, {a.Settled, tierSettled}, {!a.Cordoned, tierOpen}} {
		if part.has {
			r.tier |= part.is
		}
	}
	return r, true
}

// score is the announcer's ticket for an address (rendezvous hashing), the best
// of as many as its weight. Integers alone, so that every machine agrees.
func (a *Announcer) score(s netip.Addr) uint64 {
	if a.seed == 0 {
		sum := sha256.Sum256([]byte(a.Node))
		a.seed = binary.BigEndian.Uint64(sum[:]) | 1
	}
	b := s.As16()
	high, low := binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])
	var best uint64
	for ticket := range max(a.Weight, 1) {
		const golden = 0x9e3779b97f4a7c15 // 2^64 by the golden ratio, to keep tickets apart
		best = max(best, mix(mix(mix(a.seed+uint64(ticket)*golden)^high)^low))
	}
	return best
}

// mix spreads each bit over all (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
