// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/ndp"
)

// Advertisement is what an independent decoder reads from a frame.
type Advertisement struct {
	EtherDst, EtherSrc          MAC
	Source, Dest, Target        netip.Addr
	Router, Solicited, Override bool
	TargetLink                  MAC
}

// Decode reads an Ethernet frame with a Neighbor Advertisement, and fails
// unless every field that RFC 4861 §4.4 and §7.1.2 fix is right.
func Decode(frame []byte) (Advertisement, error) {
	var a Advertisement
	if len(frame) != 86 {
		return a, fmt.Errorf("frame has %d octets, want 86", len(frame))
	}
	a.EtherDst, a.EtherSrc = MAC(frame[0:6]), MAC(frame[6:12])
	want := []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255}
	if got := frame[12:22]; !bytes.Equal(got, want) {
		return a, fmt.Errorf("headers are % x, want % x", got, want)
	}
	a.Source, a.Dest = netip.AddrFrom16([16]byte(frame[22:38])), netip.AddrFrom16([16]byte(frame[38:54]))
	icmp := bytes.Clone(frame[54:])
	sum := binary.BigEndian.Uint16(icmp[2:])
	binary.BigEndian.PutUint16(icmp[2:], 0)
	if right := Checksum(a.Source, a.Dest, icmp); sum != right {
		return a, fmt.Errorf("checksum is %#x, want %#x", sum, right)
	}
	if icmp[1] != 0 || icmp[4]&0x1f != 0 || !bytes.Equal(icmp[5:8], make([]byte, 3)) {
		return a, fmt.Errorf("code or reserved bits are set: % x", icmp[:8])
	}
	m, err := ndp.ParseMessage(icmp)
	if err != nil {
		return a, fmt.Errorf("parse message: %w", err)
	}
	na, ok := m.(*ndp.NeighborAdvertisement)
	if !ok {
		return a, fmt.Errorf("message is a %T", m)
	}
	a.Target, a.Router, a.Solicited, a.Override = na.TargetAddress, na.Router, na.Solicited, na.Override
	if len(na.Options) != 1 {
		return a, fmt.Errorf("message has %d options, want 1", len(na.Options))
	}
	lla, ok := na.Options[0].(*ndp.LinkLayerAddress)
	if !ok || lla.Direction != ndp.Target {
		return a, fmt.Errorf("option is %v, want a target link-layer address", na.Options[0])
	}
	a.TargetLink = MAC(lla.Addr)
	return a, nil
}

// Check reports how an advertisement differs from the wanted answer to a
// solicitation for the target.
func (w Answer) Check(a Advertisement, target netip.Addr) error {
	want := Advertisement{
		EtherDst: w.EtherDst, EtherSrc: NodeMAC, Source: w.Source, Dest: w.Dest, Target: target,
		Router: true, Solicited: w.Solicited, Override: false, TargetLink: NodeMAC,
	}
	if a != want {
		return fmt.Errorf("advertisement is\n%+v, want\n%+v", a, want)
	}
	return nil
}
