// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Interface holds the facts of one uplink in the form that Respond needs. It
// never changes; a new one replaces it when the link changes.
type Interface struct {
	index    int
	mac      [6]byte
	uplink   rules.Uplink
	own      []netip.Addr // every address of the link
	onLink   []netip.Prefix
	sources  []netip.Prefix // usable global addresses with their prefixes
	fallback netip.Addr     // the source without a better one; may be invalid
	bridge   bool
	local    map[[6]byte]bool // stations on our own side of a bridge
	presence rules.Verdict    // of the uplink's Presence
	template Advertisement
	baseSum  uint64 // of everything in template that the checksum covers
}

// NewInterface compiles the facts of a link.
func NewInterface(link rules.Link, uplink rules.Uplink) *Interface {
	i := &Interface{index: link.Index, mac: link.MAC, uplink: uplink, bridge: link.Bridge, local: link.Stations, presence: rules.Verdict{Answer: true}}
	var deprecated []netip.Prefix
	for _, a := range link.Addresses {
		addr := a.Prefix.Addr()
		i.own = append(i.own, addr)
		if !addr.IsLinkLocalUnicast() {
			i.onLink = append(i.onLink, a.Prefix.Masked())
		}
		switch {
		case !a.Usable:
		case addr.IsLinkLocalUnicast():
			if !i.fallback.IsValid() {
				i.fallback = addr
			}
		case a.Deprecated: // RFC 6724 §5 rule 3
			deprecated = append(deprecated, a.Prefix)
		default:
			i.sources = append(i.sources, a.Prefix)
		}
	}
	i.sources = append(i.sources, deprecated...)
	if !i.fallback.IsValid() && uplink.Source == rules.SourceAuto && len(i.sources) > 0 {
		i.fallback = i.sources[0].Addr()
	}
	i.template, i.baseSum = newTemplate(link.MAC, i.router(link))
	return i
}

func (i *Interface) router(link rules.Link) bool {
	switch i.uplink.Router {
	case rules.RouterTrue:
		return true
	case rules.RouterFalse:
		return false
	case rules.RouterAuto:
	}
	return link.Forwarding // RFC 4861 §7.2.4
}

// Router reports whether our advertisements carry the R flag.
func (i *Interface) Router() bool { return i.template[offFlags]&flagRouter != 0 }

// HasSource reports whether there is an address to answer from.
func (i *Interface) HasSource() bool {
	return i.uplink.Source == rules.SourceTarget || i.fallback.IsValid()
}

// Source returns the source address of an answer to asker, which is
// unspecified for duplicate address detection; invalid if there is none.
func (i *Interface) Source(asker, target netip.Addr) netip.Addr {
	switch i.uplink.Source {
	case rules.SourceTarget:
		return target
	case rules.SourceAuto:
		for _, p := range i.sources {
			if p.Contains(asker) {
				return p.Addr()
			}
		}
	case rules.SourceLinkLocal:
	}
	return i.fallback
}

// Owns reports whether the address is assigned to the interface.
func (i *Interface) Owns(a netip.Addr) bool {
	return slices.Contains(i.own, a) // an uplink has few
}

// isLocal reports whether the station with that MAC address is attached to the
// uplink on our own side.
func (i *Interface) isLocal(mac [6]byte) bool { return i.local[mac] }

// isOnLink reports whether the address is link-local, or in a prefix of an
// address of the interface.
func (i *Interface) isOnLink(a netip.Addr) bool {
	if a.IsLinkLocalUnicast() {
		return true
	}
	return slices.ContainsFunc(i.onLink, func(p netip.Prefix) bool { return p.Contains(a) })
}

// ignores reports whether the operator wants no answer for the asker.
func (i *Interface) ignores(s *solicitation) bool {
	for _, a := range i.uplink.IgnoreSources {
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
