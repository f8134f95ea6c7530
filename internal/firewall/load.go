// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// load returns what an expression loads of the packet, and false where it loads
// nothing, but sets something.
func (e *evaluation) load(x expression) (vector, bool) {
	const most = 16 // octets of a register
	switch x.name {
	case "meta":
		if !x.has(unix.NFTA_META_DREG) {
			return vector{}, false
		}
		if b := e.meta(x.number(unix.NFTA_META_KEY)); b != nil {
			return known(b), true
		}
	case "payload":
		if !x.has(unix.NFTA_PAYLOAD_DREG) {
			return vector{}, false
		}
		n := int(x.number(unix.NFTA_PAYLOAD_LEN))
		offset := int(x.number(unix.NFTA_PAYLOAD_OFFSET))
		switch x.number(unix.NFTA_PAYLOAD_BASE) {
		case unix.NFT_PAYLOAD_NETWORK_HEADER:
			return e.header().part(offset, n), true
		case unix.NFT_PAYLOAD_TRANSPORT_HEADER:
			if kind := e.icmpType(); kind != 0 && offset == 0 {
				return known([]byte{kind}).part(0, n), true
			}
		}
		return unknown(n), true
	case "ct":
		if !x.has(unix.NFTA_CT_DREG) {
			return vector{}, false
		}
		if x.number(unix.NFTA_CT_KEY) == unix.NFT_CT_STATE && e.packet.State != 0 && e.base.priority >= conntrackPriority {
			return known(stateOctets(e.packet.State)), true
		}
	case "fib":
		if b := e.fib(x); b != nil {
			return known(b), true
		}
	}
	return unknown(most), true
}

// meta returns what is known of the packet beside its octets.
func (e *evaluation) meta(key uint32) []byte {
	out := e.packet.Out
	switch key {
	case unix.NFT_META_IIF:
		return index(e.packet.In)
	case unix.NFT_META_IIFNAME:
		return name(e.packet.In)
	case unix.NFT_META_OIF, unix.NFT_META_OIFNAME:
		if e.base.hook == hookPrerouting || out.Name == "" {
			return nil
		}
		if key == unix.NFT_META_OIF {
			return index(out)
		}
		return name(out)
	case unix.NFT_META_MARK:
		if e.packet.Unmarked {
			return make([]byte, 4)
		}
	case unix.NFT_META_PROTOCOL:
		return binary.BigEndian.AppendUint16(nil, unix.ETH_P_IPV6)
	case unix.NFT_META_L4PROTO:
		return []byte{e.protocol}
	case unix.NFT_META_NFPROTO:
		return []byte{unix.NFPROTO_IPV6}
	}
	return nil
}

func index(d Device) []byte {
	if d.Index == 0 {
		return nil
	}
	return binary.NativeEndian.AppendUint32(nil, uint32(d.Index)) //nolint:gosec // the kernel's int
}

func name(d Device) []byte {
	if d.Name == "" {
		return nil
	}
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, d.Name)
	return b
}

// icmpType returns the type of an ICMPv6 message, 0 for another packet.
func (e *evaluation) icmpType() byte {
	const request, reply = 128, 129 // RFC 4443 §4
	switch {
	case e.protocol != unix.IPPROTO_ICMPV6:
		return 0
	case e.packet.State == Established:
		return reply
	}
	return request
}

// Offsets of the IPv6 header (RFC 8200 §3).
const (
	offsetSource      = 8
	offsetDestination = 24
	sizeHeader        = 40
)

// header returns the packet's IPv6 header, as far as it is known.
func (e *evaluation) header() vector {
	v := unknown(sizeHeader)
	put := func(at int, p netip.Prefix) {
		if !p.IsValid() {
			return
		}
		a := p.Masked().Addr().As16()
		copy(v.bits[at:], a[:])
		for bit := range p.Bits() {
			v.known[at+bit/8] |= 0x80 >> (bit % 8)
		}
	}
	put(offsetSource, e.packet.Source)
	put(offsetDestination, e.packet.Destination)
	return v
}

// writesDestination reports whether an expression writes the destination address.
func writesDestination(x expression) bool {
	if x.number(unix.NFTA_PAYLOAD_BASE) != unix.NFT_PAYLOAD_NETWORK_HEADER {
		return false
	}
	offset, n := x.number(unix.NFTA_PAYLOAD_OFFSET), x.number(unix.NFTA_PAYLOAD_LEN)
	return offset < sizeHeader && offset+n > offsetDestination
}

// Flags and results of "fib" (linux/netfilter/nf_tables.h).
const (
	fibSource      = unix.NFTA_FIB_F_SADDR
	fibDestination = unix.NFTA_FIB_F_DADDR
	fibIn          = unix.NFTA_FIB_F_IIF
	fibPresent     = unix.NFTA_FIB_F_PRESENT
)

// fib returns what the routing table says of an address of the packet, nil where
// that is not known.
func (e *evaluation) fib(x expression) []byte {
	flags, result := x.number(unix.NFTA_FIB_FLAGS), x.number(unix.NFTA_FIB_RESULT)
	if result == unix.NFT_FIB_RESULT_ADDRTYPE {
		if flags&fibDestination == 0 {
			return nil
		}
		kind := uint32(unix.RTN_UNICAST)
		if e.packet.Out.Name == "" {
			kind = unix.RTN_LOCAL
		}
		return binary.NativeEndian.AppendUint32(nil, kind)
	}
	if flags&fibSource == 0 {
		return nil
	}
	there := e.packet.Back == SameDevice
	switch {
	case e.packet.Back == Unknown, e.packet.Back == OtherDevice && flags&fibIn == 0:
		return nil
	case flags&fibPresent != 0 && there:
		return binary.NativeEndian.AppendUint32(nil, 1)
	case result == unix.NFT_FIB_RESULT_OIFNAME && there:
		return name(e.packet.In)
	case result == unix.NFT_FIB_RESULT_OIFNAME:
		return make([]byte, unix.IFNAMSIZ)
	case there:
		return index(e.packet.In)
	}
	return make([]byte, 4)
}
