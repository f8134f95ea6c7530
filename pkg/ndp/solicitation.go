// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"encoding/binary"
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// PacketType tells to whom a received frame was addressed, with the values of
// sll_pkttype in packet(7).
type PacketType uint8

// The packet types that matter here; greater values are never ours.
const (
	PacketHost PacketType = iota
	PacketBroadcast
	PacketMulticast
	PacketOtherHost
	PacketOutgoing
)

// Meta is what the packet socket tells about a frame beside its octets.
type Meta struct {
	// Type is the frame's addressee.
	Type PacketType
	// Index is the interface that the frame came in on.
	Index int
	// VLAN is the VLAN identifier of a tag that the kernel took off the frame;
	// 0 is no tag, or a priority tag, which is the same (IEEE 802.1Q).
	VLAN uint16
	// ChecksumPartial is true for a frame of this host whose checksum the
	// kernel left to the network card (TP_STATUS_CSUMNOTREADY in packet(7)).
	ChecksumPartial bool
}

// Solicitation is what [Respond] has read from a valid Neighbor Solicitation.
type Solicitation struct {
	source, dest, target netip.Addr
	// asker is where the answer goes: the source link-layer address option, or
	// the Ethernet source where there is none (RFC 4861 §7.2.4).
	asker [6]byte
	// ether is the Ethernet source.
	ether [6]byte
	// alone is true for duplicate address detection whose answer only the asker
	// gets, see multicastRate.
	alone bool
}

// presenceOctets are those of [rules.PresencePrefix], in a form that is compared with a
// frame at no cost.
const presenceOctets = "\xfe\x80\x00\x00\x00\x00\x00\x00ndpr"

// kindOf classifies a frame as far as it can be read, also when it is invalid.
func kindOf(frame []byte) Kind {
	group := len(frame) > offEtherDst && frame[offEtherDst]&1 != 0
	if len(frame) >= offICMP {
		if ipAt(frame, offSource).IsUnspecified() {
			return DAD
		}
		if len(frame) >= offOptions && string(frame[offTarget:offTarget+len(presenceOctets)]) == presenceOctets {
			return Presence
		}
		group = frame[offDest] == 0xff // RFC 4291 §2.7
	}
	if group {
		return Multicast
	}
	return Unicast
}

// parse validates a frame by RFC 4861 §7.1.1 and fills s. It returns Answered
// for a valid solicitation, and else why it is none.
func (s *Solicitation) parse(frame []byte, partial bool) Reason {
	n, r := checkMessage(frame, typeSolicitation, partial)
	if r != Answered {
		return r
	}
	s.source, s.dest, s.target = ipAt(frame, offSource), ipAt(frame, offDest), ipAt(frame, offTarget)
	if r := s.checkAddresses(); r != Answered {
		return r
	}
	return s.parseOptions(frame, frame[offOptions:offICMP+n])
}

// checkMessage holds the rules that RFC 4861 §7.1.1 and §7.1.2 have for both
// messages, and returns the length of the ICMPv6 message.
func checkMessage(frame []byte, kind byte, partial bool) (int, Reason) {
	if len(frame) < offICMP || binary.BigEndian.Uint16(frame[offEtherType:]) != etherTypeIPv6 {
		return 0, NotIPv6
	}
	if frame[offIP]>>4 != 6 { // RFC 8200 §3
		return 0, NotIPv6
	}
	n := int(binary.BigEndian.Uint16(frame[offPayloadLen:]))
	if n == 0 || n > len(frame)-offICMP { // RFC 8200 §3, RFC 2675 §3
		return 0, PayloadLength
	}
	if r := checkNextHeader(frame[offNextHeader]); r != Answered {
		return 0, r
	}
	if frame[offICMP] != kind { // RFC 4861 §4.3, §4.4
		return 0, NotSolicitation
	}
	if frame[offHopLimit] != hopLimit { // RFC 4861 §7.1.1, §7.1.2: not forwarded by a router
		return 0, HopLimit
	}
	if n < minMessage { // RFC 4861 §7.1.1, §7.1.2: 24 or more octets, by the IP length
		return 0, MessageLength
	}
	if frame[offCode] != 0 { // RFC 4861 §7.1.1, §7.1.2
		return 0, Code
	}
	if !partial && icmpSum(frame, n) != 0xffff { // RFC 4861 §7.1.1, §7.1.2
		return 0, Checksum
	}
	return n, Answered
}

// checkNextHeader accepts ICMPv6 only. A Fragment header is forbidden by
// RFC 6980 §5; other extension headers are legal, but no known stack sends
// them with neighbor discovery.
func checkNextHeader(next byte) Reason {
	switch next {
	case protoICMPv6:
		return Answered
	case protoFragment: // RFC 6980 §5
		return Fragment
	case protoHopByHop, protoRouting, protoDestination, protoAuth:
		return ExtensionHeader
	}
	return NotSolicitation
}

// checkAddresses holds the rules that need no more than the three addresses.
func (s *Solicitation) checkAddresses() Reason {
	t, src := s.target, s.source
	if !proxyable(t) && !rules.PresencePrefix().Contains(t) {
		return TargetScope
	}
	if src.IsMulticast() || src.IsLoopback() || src.Is4In6() { // RFC 4861 §4.3, RFC 4291 §2.5.3, §2.7
		return SourceScope
	}
	group := s.dest.IsMulticast()
	if src.IsUnspecified() && !isSolicitedNode(s.dest) { // RFC 4861 §7.1.1
		return Destination
	}
	if group && s.dest != allNodes && // RFC 4861 §4.3, §7.2.2
		(!isSolicitedNode(s.dest) || groupOf(s.dest) != groupOf(t)) {
		return Destination
	}
	return Answered
}

// proxyable reports whether a target can live behind a node at all. A link-local
// address belongs to one link.
func proxyable(t netip.Addr) bool {
	return !t.IsMulticast() && // RFC 4861 §7.1.1
		!t.IsUnspecified() && !t.IsLoopback() && !t.Is4In6() && !t.IsLinkLocalUnicast() // RFC 4291 §2.5
}

// parseOptions walks the options. It takes the first source link-layer address
// and skips every option that a solicitation does not define (RFC 4861 §7.1.1).
func (s *Solicitation) parseOptions(frame, opts []byte) Reason {
	s.ether = macAt(frame, offEtherSrc)
	s.asker, s.alone = s.ether, false
	found, badLength := false, false
	for len(opts) > 0 {
		if len(opts) < 2 || opts[1] == 0 { // RFC 4861 §4.6: discard
			return OptionLength
		}
		n := int(opts[1]) * 8
		if n > len(opts) {
			return OptionLength
		}
		if opts[0] == optSourceLinkAddr && !found {
			found = true
			badLength = n != 8 // RFC 2464 §6: one unit on Ethernet
			s.asker = macAt(opts, 2)
		}
		opts = opts[n:]
	}
	if found && s.source.IsUnspecified() { // RFC 4861 §7.1.1
		return DADLinkAddress
	}
	// A group address or none would make the answer reach more than the asker.
	if badLength || s.asker[0]&1 != 0 || s.asker == [6]byte{} {
		return LinkAddress
	}
	return Answered
}
