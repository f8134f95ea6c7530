// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/binary"
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// MAC is an Ethernet address.
type MAC = [6]byte

// The stations of the table: a router that asks, a node that answers, and a
// pod behind it.
var (
	RouterMAC = MAC{2, 0, 0, 0, 0, 1}
	NodeMAC   = MAC{2, 0, 0, 0, 0, 2}
	OtherMAC  = MAC{2, 0, 0, 0, 0, 0x99}

	RouterLinkLocal = netip.MustParseAddr("fe80::ff:fe00:1")
	RouterAddr      = netip.MustParseAddr("2001:db8:1::ff")
	NodeLinkLocal   = netip.MustParseAddr("fe80::ff:fe00:2")
	NodeAddr        = netip.MustParseAddr("2001:db8:1::1")
	Pod             = netip.MustParseAddr("2001:db8:1:0:f::5")
	Denied          = netip.MustParseAddr("2001:db8:1:0:f::dead")
	PodPrefix       = netip.MustParsePrefix("2001:db8:1:0:f::/80")

	unspecified = netip.IPv6Unspecified()
	allNodes    = netip.MustParseAddr("ff02::1")
)

// Frame describes an Ethernet frame with a Neighbor Solicitation, right or
// wrong. Bytes builds it.
type Frame struct {
	EtherDst, EtherSrc MAC
	Tags               []Tag
	EtherType          uint16

	Version    byte
	PayloadLen int // auto for the real one
	NextHeader byte
	HopLimit   byte
	Source     netip.Addr
	Dest       netip.Addr
	Extension  []byte // headers between IPv6 and ICMPv6

	Type, Code byte
	Reserved   uint32
	Target     netip.Addr
	Options    []byte
	Cut        int  // octets cut off the end of the message
	Corrupt    bool // spoil the checksum

	Trailer int // octets of Ethernet padding
	Capture int // octets that are sent, 0 for all
}

// Tag is an IEEE 802.1Q tag.
type Tag struct{ TPID, VID uint16 }

const auto = -1

// solicitation is a good solicitation for a target, changed by mods.
func solicitation(target netip.Addr, mods ...func(*Frame)) Frame {
	group := ndp.SolicitedNode(low24(target))
	f := Frame{
		EtherDst: groupMAC(group), EtherSrc: RouterMAC, EtherType: 0x86dd,
		Version: 6, PayloadLen: auto, NextHeader: 58, HopLimit: 255,
		Source: RouterAddr, Dest: group,
		Type: 135, Target: target,
		Options: sourceLink(RouterMAC),
	}
	for _, mod := range mods {
		mod(&f)
	}
	return f
}

// pod is a good solicitation for the pod, changed by mods.
func pod(mods ...func(*Frame)) Frame { return solicitation(Pod, mods...) }

// Claim is an advertisement by which another station says that it has an
// address, unasked and with the Override flag.
func Claim(address netip.Addr, mac MAC) Frame {
	return Frame{
		EtherDst: groupMAC(allNodes), EtherSrc: mac, EtherType: 0x86dd,
		Version: 6, PayloadLen: auto, NextHeader: 58, HopLimit: 255,
		Source: address, Dest: allNodes,
		Type: 136, Reserved: 0x20 << 24, Target: address,
		Options: option(2, 1, mac[:]...),
	}
}

func low24(a netip.Addr) uint32 {
	b := a.As16()
	return uint32(b[13])<<16 | uint32(b[14])<<8 | uint32(b[15])
}

// groupMAC is the Ethernet address of a multicast group, RFC 2464 §7.
func groupMAC(group netip.Addr) MAC {
	b := group.As16()
	return MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// option builds one option of whole units of 8 octets.
func option(kind byte, units byte, data ...byte) []byte {
	b := make([]byte, int(units)*8)
	b[0], b[1] = kind, units
	copy(b[2:], data)
	return b
}

func sourceLink(m MAC) []byte { return option(1, 1, m[:]...) }

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// Bytes builds the frame.
func (f Frame) Bytes() []byte {
	icmp := []byte{f.Type, f.Code, 0, 0}
	icmp = binary.BigEndian.AppendUint32(icmp, f.Reserved)
	icmp = append(icmp, f.Target.AsSlice()...)
	icmp = append(icmp, f.Options...)
	icmp = icmp[:len(icmp)-f.Cut]
	sum := Checksum(f.Source, f.Dest, icmp)
	if f.Corrupt {
		sum ^= 0x0100
	}
	if len(icmp) >= 4 {
		binary.BigEndian.PutUint16(icmp[2:], sum)
	}

	b := append([]byte{}, f.EtherDst[:]...)
	b = append(b, f.EtherSrc[:]...)
	for _, t := range f.Tags {
		b = binary.BigEndian.AppendUint16(b, t.TPID)
		b = binary.BigEndian.AppendUint16(b, t.VID)
	}
	b = binary.BigEndian.AppendUint16(b, f.EtherType)
	n := f.PayloadLen
	if n == auto {
		n = len(f.Extension) + len(icmp)
	}
	b = append(b, f.Version<<4, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, f.NextHeader, f.HopLimit)
	b = append(b, f.Source.AsSlice()...)
	b = append(b, f.Dest.AsSlice()...)
	b = append(b, f.Extension...)
	b = append(b, icmp...)
	b = append(b, make([]byte, f.Trailer)...)
	if f.Capture > 0 {
		b = b[:f.Capture]
	}
	return b
}

// Received returns the frame as a packet socket delivers it on the interface
// with that index: without the outer tag, and with what the kernel knows.
func (f Frame) Received(index int) ([]byte, ndp.Meta) {
	m := ndp.Meta{Type: ndp.PacketOtherHost, Index: index}
	switch {
	case f.EtherDst == MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}:
		m.Type = ndp.PacketBroadcast
	case f.EtherDst[0]&1 != 0:
		m.Type = ndp.PacketMulticast
	case f.EtherDst == NodeMAC:
		m.Type = ndp.PacketHost
	}
	if len(f.Tags) > 0 {
		m.VLAN = f.Tags[0].VID
		f.Tags = f.Tags[1:]
	}
	return f.Bytes(), m
}

// Checksum is RFC 1071 over the pseudo-header and an ICMPv6 message whose
// checksum field is zero, written for the tests alone.
func Checksum(source, dest netip.Addr, icmp []byte) uint16 {
	b := append(source.AsSlice(), dest.AsSlice()...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(icmp)))
	b = append(b, 0, 0, 0, 58)
	b = append(b, icmp...)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
