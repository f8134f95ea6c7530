// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"encoding/binary"
	"net/netip"
)

// Offsets into an Ethernet frame that holds an IPv6 packet with an ICMPv6
// message right behind the IPv6 header (RFC 2464 §3, RFC 8200 §3).
const (
	offEtherDst   = 0
	offEtherSrc   = 6
	offEtherType  = 12
	offIP         = 14
	offPayloadLen = offIP + 4
	offNextHeader = offIP + 6
	offHopLimit   = offIP + 7
	offSource     = offIP + 8
	offDest       = offIP + 24
	offICMP       = offIP + 40
	offCode       = offICMP + 1
	offChecksum   = offICMP + 2
	offFlags      = offICMP + 4
	offTarget     = offICMP + 8
	offOptions    = offICMP + 24

	etherTypeIPv6 = 0x86dd
	hopLimit      = 255 // RFC 4861 §7.1.1

	// Next Header values (RFC 8200 §4).
	protoICMPv6      = 58
	protoHopByHop    = 0
	protoRouting     = 43
	protoFragment    = 44
	protoDestination = 60
	protoAuth        = 51

	// ICMPv6 types (RFC 4861 §4.3, §4.4).
	typeSolicitation  = 135
	typeAdvertisement = 136

	// minMessage is the shortest solicitation, RFC 4861 §7.1.1.
	minMessage = 24

	// Option types (RFC 4861 §4.6).
	optSourceLinkAddr = 1
	optTargetLinkAddr = 2
)

// allNodes is the destination of an advertisement for an unspecified source,
// RFC 4861 §7.2.4, and allNodesMAC its Ethernet form, RFC 2464 §7.
var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allNodesMAC = [6]byte{0x33, 0x33, 0, 0, 0, 1}
)

// ipAt returns the IPv6 address at an offset of the frame.
func ipAt(frame []byte, off int) netip.Addr {
	return netip.AddrFrom16([16]byte(frame[off : off+16]))
}

// macAt returns the Ethernet address at an offset of the frame.
func macAt(frame []byte, off int) [6]byte { return [6]byte(frame[off : off+6]) }

// isAdvertisement reports whether a frame can be a Neighbor Advertisement.
func isAdvertisement(frame []byte) bool {
	return len(frame) > offICMP && frame[offICMP] == typeAdvertisement && frame[offNextHeader] == protoICMPv6
}

// isSolicitedNode reports whether dst is a solicited-node multicast address,
// ff02::1:ff00:0/104 (RFC 4291 §2.7.1).
func isSolicitedNode(dst netip.Addr) bool {
	b := dst.As16()
	return binary.BigEndian.Uint64(b[:8]) == 0xff02_0000_0000_0000 &&
		binary.BigEndian.Uint32(b[8:12]) == 1 && b[12] == 0xff
}

// SolicitedNode returns the solicited-node multicast address of an address
// whose low 24 bits are group (RFC 4291 §2.7.1).
func SolicitedNode(group uint32) netip.Addr {
	b := [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff}
	b[13], b[14], b[15] = byte(group>>16), byte(group>>8), byte(group) //nolint:gosec // octet by octet
	return netip.AddrFrom16(b)
}

// groupOf returns the low 24 bits of an address.
func groupOf(a netip.Addr) uint32 {
	b := a.As16()
	return uint32(b[13])<<16 | uint32(b[14])<<8 | uint32(b[15])
}

// sum adds the 16-bit words of b to an unfolded Internet checksum (RFC 1071).
// Sums of up to 2³² octets cannot overflow.
func sum(s uint64, b []byte) uint64 {
	for len(b) >= 8 {
		v := binary.BigEndian.Uint64(b)
		s += v>>32 + v&0xffffffff
		b = b[8:]
	}
	if len(b) >= 4 {
		s += uint64(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	switch len(b) {
	case 3:
		s += uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8
	case 2:
		s += uint64(b[0])<<24 | uint64(b[1])<<16
	case 1:
		s += uint64(b[0]) << 24
	}
	return s
}

// fold returns the 16-bit one's complement sum of an unfolded one.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s) //nolint:gosec // folded to 16 bits
}

// icmpSum returns the folded checksum of an ICMPv6 message of n octets with its
// pseudo-header (RFC 8200 §8.1): 0xffff for a received message that is intact.
func icmpSum(frame []byte, n int) uint16 {
	s := sum(uint64(n)+protoICMPv6, frame[offSource:offICMP]) //nolint:gosec // n is a checked length
	return fold(sum(s, frame[offICMP:offICMP+n]))
}
