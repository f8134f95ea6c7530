// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// world makes rules, links, settings and frames of random numbers, of few addresses, so
// that much of it is about the same ones.
type world struct {
	*rand.Rand
	prefixes []netip.Prefix // of the rules
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.IntN(n) == 0 }

// address returns an address that a rule, the link, or nobody has.
func (w *world) address() netip.Addr {
	switch w.IntN(12) {
	case 0:
		return pick(w, NodeAddr, NodeLinkLocal, RouterLinkLocal, netip.IPv6Unspecified(), netip.IPv6Loopback(), allNodes,
			addr("::ffff:192.0.2.1"), addr("ff02::2"), addr("fe80::6e64:7072:0:1"), addr("::2"), addr("feff::1"), addr("fec0::1"))
	case 1, 2:
		return RouterAddr
	default:
		if len(w.prefixes) > 0 && !w.chance(3) {
			return w.within(w.prefixes[w.IntN(len(w.prefixes))])
		}
		b := NodeAddr.As16()
		b[9], b[15] = byte(10+w.IntN(6)), byte(w.IntN(8))
		return netip.AddrFrom16(b)
	}
}

// pick returns one of several.
func pick[T any](w *world, of ...T) T { return of[w.IntN(len(of))] }

// within returns an address of a prefix: the first, one at an edge, or any.
func (w *world) within(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As16()
	for i := p.Bits(); i < 128; i++ {
		if set := w.chance(2); set && !w.chance(3) {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	return netip.AddrFrom16(b)
}

// rules returns rules whose prefixes lie within each other.
func (w *world) rules() []rules.Rule {
	var all []rules.Rule
	seen := map[netip.Prefix]bool{}
	w.prefixes = nil
	for range 1 + w.IntN(40) {
		bits := pick(w, 128, 128, 64, 80, 96, 112, 120, 48, 56, w.IntN(129))
		p := netip.PrefixFrom(w.address(), bits).Masked()
		r := rules.Rule{Prefix: p, Method: pick(w, rules.Static, rules.Static, rules.Static, rules.Deny, rules.Route)}
		if r.Method == rules.Static && w.chance(6) {
			r.Delay = rules.MaxDelay
		}
		if seen[p] || r.Validate() != nil {
			continue
		}
		seen[p] = true
		all, w.prefixes = append(all, r), append(w.prefixes, p)
	}
	return all
}

// link returns the uplink with up to sixteen addresses.
func (w *world) link() rules.Link {
	l := Link(0)
	l.Forwarding = w.chance(2)
	if w.chance(8) {
		l.Addresses = nil
	}
	for range pick(w, 0, 0, 1, 2, 6, 14) {
		a := w.address()
		if a.IsMulticast() || a.IsUnspecified() {
			continue
		}
		l.Addresses = append(l.Addresses, rules.LinkAddress{
			Prefix: netip.PrefixFrom(a, pick(w, 64, 128, 48, 120)),
			Usable: len(l.Addresses) < 8 && !w.chance(4), Deprecated: w.chance(4), // to answer from, the program takes 8
		})
	}
	return l
}

// uplink returns settings that the program decides by.
func (w *world) uplink() rules.Uplink {
	u := rules.Uplink{
		Interface: "uplink", Source: pick(w, rules.SourceAuto, rules.SourceAuto, rules.SourceLinkLocal, rules.SourceTarget),
		Router: pick(w, rules.RouterAuto, rules.RouterTrue, rules.RouterFalse), RequireOnLinkSource: w.chance(4), ConsumeUnicast: w.chance(2),
	}
	for range pick(w, 0, 0, 0, 1, 3, 16) {
		asker := rules.Asker{MAC: pick(w, RouterMAC, OtherMAC)}
		if w.chance(2) {
			asker = rules.Asker{Prefix: netip.PrefixFrom(w.address(), pick(w, 64, 128, 112)).Masked()}
		}
		u.IgnoreSources = append(u.IgnoreSources, asker)
	}
	return u
}

// frame returns a solicitation, of which something may be wrong.
func (w *world) frame() ([]byte, ndp.Meta) {
	f := solicitation(w.address())
	if w.chance(3) { // nothing is wrong but the addresses
		if f.Options = w.options(); w.chance(2) {
			unicast(f.Target)(&f)
		}
		return f.Received(0)
	}
	f.Source = w.address()
	if w.chance(3) {
		f.Source = pick(w, RouterAddr, RouterLinkLocal)
	}
	switch w.IntN(6) {
	case 0:
		unicast(f.Target)(&f)
	case 1:
		f.EtherDst, f.Dest = groupMAC(allNodes), allNodes
	case 2:
		f.Dest = w.address()
	}
	if w.chance(6) {
		f.EtherDst = pick(w, NodeMAC, OtherMAC, MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	}
	if w.chance(8) {
		f.EtherSrc = pick(w, NodeMAC, OtherMAC, MAC{1, 2, 3, 4, 5, 6}, MAC{})
	}
	f.Options = w.options()
	b, _ := f.Received(0)
	for range pick(w, 0, 0, 0, 1, 2) {
		b[w.IntN(len(b))] ^= pick(w, 1, 0x80, 0xff, byte(w.IntN(256)))
	}
	if w.chance(16) {
		b = append(b, make([]byte, w.IntN(30))...)
	}
	if w.chance(16) {
		b = b[:max(shortest, len(b)-w.IntN(40))]
	}
	if !w.chance(4) {
		mend(b)
	}
	return b, received(b)
}

// options returns what may stand behind the target.
func (w *world) options() []byte {
	var b []byte
	for range pick(w, 0, 1, 1, 1, 1, 2, 3, 9) {
		switch w.IntN(8) {
		case 0:
			b = append(b, option(pick(w, byte(14), 2, 253, 3), byte(1+w.IntN(3)))...)
		case 1:
			b = append(b, option(1, pick(w, byte(1), 1, 2), 2, 0, 0, 0, 0, byte(w.IntN(4)))...)
		default:
			b = append(b, sourceLink(pick(w, RouterMAC, RouterMAC, OtherMAC, NodeMAC, MAC{}, MAC{3}))...)
		}
	}
	if len(b) > 2 && w.chance(16) {
		b[1] = byte(w.IntN(12))
	}
	return b
}

// mend makes the checksum right for the length that the IPv6 header has, and that length
// for the frame most often.
func mend(b []byte) {
	n := int(binary.BigEndian.Uint16(b[offPayloadLen:]))
	if n < 4 || offICMP+n > len(b) {
		n = len(b) - offICMP
		binary.BigEndian.PutUint16(b[offPayloadLen:], uint16(n))
	}
	if n < 4 {
		return
	}
	icmp := b[offICMP : offICMP+n]
	icmp[2], icmp[3] = 0, 0
	binary.BigEndian.PutUint16(icmp[2:], Checksum(netip.AddrFrom16([16]byte(b[22:])), netip.AddrFrom16([16]byte(b[38:])), icmp))
}

// received returns what the kernel tells of a frame beside its octets.
func received(b []byte) ndp.Meta {
	m := ndp.Meta{Type: ndp.PacketOtherHost}
	switch to := MAC(b); {
	case to == MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}:
		m.Type = ndp.PacketBroadcast
	case to[0]&1 != 0:
		m.Type = ndp.PacketMulticast
	case to == NodeMAC:
		m.Type = ndp.PacketHost
	}
	return m
}
