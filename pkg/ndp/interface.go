// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Interface holds the facts of one uplink in the form that [Respond] needs. It
// never changes; a new one replaces it when the link or the settings change.
type Interface struct {
	facts    InterfaceFacts
	presence rules.Verdict // of the uplink's Presence
	baseSum  uint64        // of everything in the template that the checksum covers
}

// InterfaceFacts is everything that decides how an interface answers, as data:
// what answers in another way than [Respond], such as a program in the kernel,
// is made from it. Treat it as read-only.
type InterfaceFacts struct {
	// Index and MAC are the device's.
	Index int
	MAC   [6]byte
	// Uplink are the operator's settings.
	Uplink rules.Uplink
	// Addresses are all addresses of the interface; the kernel answers for them.
	Addresses []netip.Addr
	// OnLink are the prefixes of the addresses that are not link-local.
	OnLink []netip.Prefix
	// Sources are the addresses to answer from, best first, each with its
	// prefix. Fallback is the source for an asker in none of these prefixes;
	// it is invalid where the interface has no usable address.
	Sources  []netip.Prefix
	Fallback netip.Addr
	// Bridge is true for a bridge, and Stations are the MAC addresses behind
	// its virtual ports.
	Bridge   bool
	Stations map[[6]byte]bool
	// NextHops are the routers of the uplink, see [Interface.WithNextHops].
	NextHops []netip.Addr
	// Template holds the octets that all answers share. An answer differs in
	// the addresses, the target, the Solicited flag and the checksum.
	Template Advertisement
}

// Facts returns what the interface was compiled from and to.
func (i *Interface) Facts() InterfaceFacts { return i.facts }

// WithNextHops returns a copy of the interface that knows the addresses of the
// next hops of the uplink's routes. Routers ask for what others look for, so the
// limit for an asker is not theirs, see [rules.Uplink.LimitPerAsker].
func (i *Interface) WithNextHops(hops []netip.Addr) *Interface {
	c := *i
	c.facts.NextHops = slices.Clone(hops)
	return &c
}

// NewInterface compiles the facts of a link.
func NewInterface(link rules.Link, uplink rules.Uplink) *Interface {
	i := &Interface{presence: rules.Verdict{Answer: true}, facts: InterfaceFacts{
		Index: link.Index, MAC: link.MAC, Uplink: uplink, Bridge: link.Bridge, Stations: link.Stations,
	}}
	var deprecated []netip.Prefix
	for _, a := range link.Addresses {
		addr := a.Prefix.Addr()
		i.facts.Addresses = append(i.facts.Addresses, addr)
		if !addr.IsLinkLocalUnicast() {
			i.facts.OnLink = append(i.facts.OnLink, a.Prefix.Masked())
		}
		switch {
		case !a.Usable:
		case addr.IsLinkLocalUnicast():
			if !i.facts.Fallback.IsValid() {
				i.facts.Fallback = addr
			}
		case a.Deprecated: // RFC 6724 §5 rule 3
			deprecated = append(deprecated, a.Prefix)
		default:
			i.facts.Sources = append(i.facts.Sources, a.Prefix)
		}
	}
	i.facts.Sources = append(i.facts.Sources, deprecated...)
	if !i.facts.Fallback.IsValid() && uplink.Source == rules.SourceAuto && len(i.facts.Sources) > 0 {
		i.facts.Fallback = i.facts.Sources[0].Addr()
	}
	i.facts.Template, i.baseSum = newTemplate(link.MAC, i.router(link))
	return i
}

func (i *Interface) router(link rules.Link) bool {
	switch i.facts.Uplink.Router {
	case rules.RouterTrue:
		return true
	case rules.RouterFalse:
		return false
	case rules.RouterAuto:
	}
	return link.Forwarding // RFC 4861 §7.2.4
}

// Router reports whether our advertisements carry the R flag.
func (i *Interface) Router() bool { return i.facts.Template[offFlags]&flagRouter != 0 }

// HasSource reports whether there is an address to answer from.
func (i *Interface) HasSource() bool {
	return i.facts.Uplink.Source == rules.SourceTarget || i.facts.Fallback.IsValid()
}

// Source returns the source address of an answer to asker, which is
// unspecified for duplicate address detection; invalid if there is none.
func (i *Interface) Source(asker, target netip.Addr) netip.Addr {
	switch i.facts.Uplink.Source {
	case rules.SourceTarget:
		return target
	case rules.SourceAuto:
		for _, p := range i.facts.Sources {
			if p.Contains(asker) {
				return p.Addr()
			}
		}
	case rules.SourceLinkLocal:
	}
	return i.facts.Fallback
}

// presenceSource returns the source address of an answer to a daemon that asks whether
// we are there, or, where asker is unspecified, of a question of that kind; invalid if
// there is none. It is what the operator asks for, and global where that leaves it open,
// because links may drop neighbor discovery from link-local sources. Instead of the
// target, which no host has, it is an address of ours that is global, too.
func (i *Interface) presenceSource(asker netip.Addr) netip.Addr {
	if i.facts.Uplink.Source == rules.SourceLinkLocal {
		return i.facts.Fallback
	}
	for _, p := range i.facts.Sources {
		if p.Contains(asker) {
			return p.Addr()
		}
	}
	if len(i.facts.Sources) > 0 && (i.facts.Uplink.Source == rules.SourceTarget || asker.IsUnspecified()) {
		return i.facts.Sources[0].Addr()
	}
	return i.facts.Fallback
}

// Owns reports whether the address is assigned to the interface.
func (i *Interface) Owns(a netip.Addr) bool {
	return slices.Contains(i.facts.Addresses, a) // an uplink has few
}

// isNextHop reports whether the address is that of a router of the uplink.
func (i *Interface) isNextHop(a netip.Addr) bool {
	return slices.Contains(i.facts.NextHops, a) // an uplink has few
}

// isLocal reports whether the station with that MAC address is attached to the
// uplink on our own side.
func (i *Interface) isLocal(mac [6]byte) bool { return i.facts.Stations[mac] }

// isOnLink reports whether the address is link-local, or in a prefix of an
// address of the interface.
func (i *Interface) isOnLink(a netip.Addr) bool {
	if a.IsLinkLocalUnicast() {
		return true
	}
	return slices.ContainsFunc(i.facts.OnLink, func(p netip.Prefix) bool { return p.Contains(a) })
}

// ignores reports whether the operator wants no answer for the asker.
func (i *Interface) ignores(s *Solicitation) bool {
	for _, a := range i.facts.Uplink.IgnoreSources {
		if a.Matches(s.source, s.ether) || a.Matches(s.source, s.asker) {
			return true
		}
	}
	return false
}

// newTemplate returns the octets that all advertisements of an interface share
// (RFC 4861 §4.4), and their share of the checksum.
func newTemplate(mac [6]byte, router bool) (Advertisement, uint64) {
	var t Advertisement
	copy(t[offEtherSrc:], mac[:])
	binary.BigEndian.PutUint16(t[offEtherType:], etherTypeIPv6)
	t[offIP] = 6 << 4
	binary.BigEndian.PutUint16(t[offPayloadLen:], AdvertisementLen-offICMP)
	t[offNextHeader] = protoICMPv6
	t[offHopLimit] = hopLimit // RFC 4861 §7.1.2
	t[offICMP] = typeAdvertisement
	if router {
		t[offFlags] = flagRouter
	}
	t[offOptions], t[offOptions+1] = optTargetLinkAddr, 1
	copy(t[offOptions+2:], mac[:])
	return t, sum(AdvertisementLen-offICMP+protoICMPv6, t[offICMP:])
}
