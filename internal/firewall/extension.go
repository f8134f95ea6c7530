// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Parts of the extensions of iptables that nftables keeps as they are: matches
// ("match") and targets ("target").
const (
	// struct xt_conntrack_mtinfo3 of linux/netfilter/xt_conntrack.h.
	conntrackFlags  = 146 // match_flags
	conntrackInvert = 148 // invert_flags
	conntrackStates = 150 // state_mask
	conntrackState  = 1   // XT_CONNTRACK_STATE

	// struct xt_rpfilter_info of linux/netfilter/xt_rpfilter.h.
	rpfilterLoose  = 1 // XT_RPFILTER_LOOSE
	rpfilterInvert = 8 // XT_RPFILTER_INVERT
)

// extension tells whether a match of iptables holds.
func (e *evaluation) extension(x expression) truth {
	info, state := x.attributes[unix.NFTA_MATCH_INFO], uint32(e.packet.State)
	switch x.text(unix.NFTA_MATCH_NAME) {
	case "comment":
		return yes
	case "state": // struct xt_state_info
		if len(info) >= 4 && state != 0 {
			return fromBool(binary.NativeEndian.Uint32(info)&state != 0)
		}
	case "conntrack":
		if x.number(unix.NFTA_MATCH_REV) < 2 || len(info) < conntrackStates+2 || state == 0 {
			return maybe
		}
		at := func(offset int) uint32 { return uint32(binary.NativeEndian.Uint16(info[offset:])) }
		if at(conntrackFlags) != conntrackState {
			return maybe
		}
		is := fromBool(at(conntrackStates)&state != 0)
		if at(conntrackInvert)&conntrackState != 0 {
			return is.not()
		}
		return is
	case "icmp6": // struct ip6t_icmp of linux/netfilter_ipv6/ip6_tables.h
		if len(info) >= 4 && info[1] == 0 && info[2] == 255 && e.icmpType() != 0 {
			is := fromBool(info[0] == 255 || info[0] == e.icmpType())
			if info[3] != 0 {
				return is.not()
			}
			return is
		}
	case "addrtype":
		return e.addrtype(x, info)
	case "mark": // struct xt_mark_mtinfo1 of linux/netfilter/xt_mark.h, of a packet without a mark
		if !e.packet.Unmarked || len(info) < 9 || x.number(unix.NFTA_MATCH_REV) != 1 {
			return maybe
		}
		is := fromBool(binary.NativeEndian.Uint32(info) == 0)
		if info[8] != 0 {
			return is.not()
		}
		return is
	case "rpfilter":
		if len(info) < 1 || e.packet.Back == Unknown {
			return maybe
		}
		is := fromBool(e.packet.Back == SameDevice || e.packet.Back == OtherDevice && info[0]&rpfilterLoose != 0)
		if info[0]&rpfilterInvert != 0 {
			return is.not()
		}
		return is
	}
	return maybe
}

func fromBool(b bool) truth {
	if b {
		return yes
	}
	return no
}

// target tells what a target of iptables does.
func target(x expression) verdict {
	switch x.text(unix.NFTA_TARGET_NAME) {
	case "DROP", "REJECT":
		return verdict{kind: drops}
	case "ACCEPT", "SNPT":
		return verdict{kind: accepts}
	case "SNAT", "MASQUERADE":
		return verdict{kind: masquerades}
	case "DNAT", "NETMAP", "REDIRECT", "DNPT", "TPROXY":
		return verdict{kind: translates}
	case "LOG", "NFLOG", "TRACE", "MARK", "CONNMARK", "CT", "TCPMSS", "TCPOPTSTRIP", "CLASSIFY", "TOS", "DSCP",
		"AUDIT", "CHECKSUM", "HL", "HMARK", "SECMARK", "CONNSECMARK", "RATEEST", "IDLETIMER", "LED", "SET", "TEE":
		return verdict{}
	}
	return verdict{kind: unsure}
}

// Parts of struct xt_addrtype_info_v1 of linux/netfilter/xt_addrtype.h.
const (
	addrtypeDestination = 2 // dest: a bit for each type of route
	addrtypeFlags       = 4
	addrtypeInvert      = 2 // XT_ADDRTYPE_INVERT_DEST
)

// addrtype tells whether the match of that name holds for the destination.
func (e *evaluation) addrtype(x expression, info []byte) truth {
	if x.number(unix.NFTA_MATCH_REV) != 1 || len(info) < addrtypeFlags+4 {
		return maybe
	}
	source, types := binary.NativeEndian.Uint16(info), binary.NativeEndian.Uint16(info[addrtypeDestination:])
	flags := binary.NativeEndian.Uint32(info[addrtypeFlags:])
	if source != 0 || flags&^addrtypeInvert != 0 {
		return maybe
	}
	kind := unix.RTN_UNICAST
	if e.packet.Out.Name == "" {
		kind = unix.RTN_LOCAL
	}
	is := fromBool(types&(1<<kind) != 0)
	if flags&addrtypeInvert != 0 {
		return is.not()
	}
	return is
}
