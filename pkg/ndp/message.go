// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ndp"
)

// allRouters is where a copy of unsolicited advertisements may go, RFC 9131 §4.1.
var allRouters = netip.MustParseAddr("ff02::2")

// frame returns a whole Ethernet frame with a message that is not on the hot
// path.
func frame(m ndp.Message, fromMAC, toMAC [6]byte, from, to netip.Addr) ([]byte, error) {
	body, err := ndp.MarshalMessageChecksum(m, from, to)
	if err != nil {
		return nil, fmt.Errorf("build message: %w", err)
	}
	b := make([]byte, offICMP, offICMP+len(body))
	copy(b[offEtherDst:], toMAC[:])
	copy(b[offEtherSrc:], fromMAC[:])
	binary.BigEndian.PutUint16(b[offEtherType:], etherTypeIPv6)
	b[offIP] = 6 << 4
	binary.BigEndian.PutUint16(b[offPayloadLen:], uint16(len(body))) //nolint:gosec // tens of octets
	b[offNextHeader], b[offHopLimit] = protoICMPv6, hopLimit
	f16, t16 := from.As16(), to.As16()
	copy(b[offSource:], f16[:])
	copy(b[offDest:], t16[:])
	return append(b, body...), nil
}

// groupMAC returns the Ethernet form of a multicast address, RFC 2464 §7.
func groupMAC(a netip.Addr) [6]byte {
	b := a.As16()
	return [6]byte{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// SolicitedNodeMAC returns the Ethernet group of the stations that have a target, or
// others of the same low 24 bits. As the station of [Interface.AskStation] it stands for
// all of them.
func SolicitedNodeMAC(target netip.Addr) [6]byte { return groupMAC(SolicitedNode(groupOf(target))) }

// Solicitation returns a frame that asks from the interface who has the target
// (RFC 4861 §7.2.2). It fails on an interface without an address.
func (i *Interface) Solicitation(target netip.Addr) ([]byte, error) {
	from := i.facts.Fallback
	if !from.IsValid() && len(i.facts.Sources) > 0 {
		from = i.facts.Sources[0].Addr()
	}
	if !from.IsValid() { // RFC 4861 §7.2.2
		return nil, errNoSource
	}
	return i.solicit(target, from)
}

// errNoSource is the error of an interface that has nothing to send from.
var errNoSource = errors.New("the interface has no usable address")

func (i *Interface) solicit(target, from netip.Addr) ([]byte, error) {
	m := &ndp.NeighborSolicitation{TargetAddress: target}
	if !from.IsUnspecified() { // RFC 4862 §5.4.2
		m.Options = []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: net.HardwareAddr(i.facts.MAC[:])}}
	}
	to := SolicitedNode(groupOf(target))
	return frame(m, i.facts.MAC, groupMAC(to), from, to)
}

// Unsolicited returns a frame that tells all nodes, or all routers, that target
// is at the interface (RFC 4861 §7.2.6). override is for a target that only we
// answer for (§7.2.8).
func (i *Interface) Unsolicited(target netip.Addr, override, routers bool) ([]byte, error) {
	to := allNodes
	if routers {
		to = allRouters
	}
	from := i.Source(netip.IPv6Unspecified(), target)
	if !from.IsValid() { // RFC 4861 §4.4
		return nil, errNoSource
	}
	m := &ndp.NeighborAdvertisement{
		Router: i.Router(), Override: override, TargetAddress: target,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: net.HardwareAddr(i.facts.MAC[:])}},
	}
	return frame(m, i.facts.MAC, groupMAC(to), from, to)
}

// Prime returns a frame that makes the router with that address, or a switch on
// the way, learn that source is at the interface: the router is solicited from
// the address, or, where router is invalid, duplicate address detection is
// played for it.
func (i *Interface) Prime(source, router netip.Addr) ([]byte, error) {
	if !router.IsValid() {
		return i.solicit(source, netip.IPv6Unspecified())
	}
	return i.solicit(router, source)
}

// AskStation returns a frame that asks one station for a target (RFC 6085: a
// multicast packet in a unicast frame, so that nobody else hears it and its
// kernel forwards nothing). Where the station is the zero address all that listen to the
// target's group are asked. It leaves from the source that the operator asks for.
func (i *Interface) AskStation(target netip.Addr, station [6]byte) ([]byte, error) {
	from := i.presenceSource(netip.IPv6Unspecified())
	if !from.IsValid() { // RFC 4861 §7.2.2
		return nil, errNoSource
	}
	b, err := i.solicit(target, from)
	if err == nil && station != [6]byte{} {
		copy(b[offEtherDst:], station[:])
	}
	return b, err
}
