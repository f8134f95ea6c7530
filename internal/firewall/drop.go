// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// dropOf describes a rule that drops.
func dropOf(c chain, rule []expression) Drop {
	d := Drop{Chain: c.name}
	in := make(map[uint32]bool) // the registers that have the incoming device's name
	for _, x := range rule {
		switch x.name {
		case "meta":
			in[x.number(unix.NFTA_META_DREG)] = x.number(unix.NFTA_META_KEY) == unix.NFT_META_IIFNAME
		case "cmp":
			if in[x.number(unix.NFTA_CMP_SREG)] && x.number(unix.NFTA_CMP_OP) == unix.NFT_CMP_NEQ {
				d.Except = append(d.Except, strings.TrimRight(string(x.value(unix.NFTA_CMP_DATA)), "\x00"))
			}
		case "fib":
			d.ReversePath = d.ReversePath || x.number(unix.NFTA_FIB_FLAGS)&fibSource != 0
		case "match":
			d.ReversePath = d.ReversePath || x.text(unix.NFTA_MATCH_NAME) == "rpfilter"
		}
	}
	return d
}

// exceptions adds the devices of an anonymous set that a rule leaves alone.
func (e *evaluation) exceptions(c chain, rule []expression) []string {
	var out []string
	in := make(map[uint32]bool)
	for _, x := range rule {
		switch x.name {
		case "meta":
			in[x.number(unix.NFTA_META_DREG)] = x.number(unix.NFTA_META_KEY) == unix.NFT_META_IIFNAME
		case "lookup":
			if !in[x.number(unix.NFTA_LOOKUP_SREG)] || x.number(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV == 0 {
				continue
			}
			elements, _ := e.set.elementsOf(c, x.text(unix.NFTA_LOOKUP_SET))
			for _, el := range elements {
				out = append(out, strings.TrimRight(string(el.key), "\x00"))
			}
		}
	}
	return out
}

// destinationOf returns the prefix that a rule asks a packet's destination to be
// in, and false for none.
func destinationOf(rule []expression) (netip.Prefix, bool) {
	length := make(map[uint32]uint32) // octets of the destination, by register
	for _, x := range rule {
		switch x.name {
		case "payload":
			dreg := x.number(unix.NFTA_PAYLOAD_DREG)
			delete(length, dreg)
			if x.number(unix.NFTA_PAYLOAD_BASE) == unix.NFT_PAYLOAD_NETWORK_HEADER && x.number(unix.NFTA_PAYLOAD_OFFSET) == offsetDestination {
				length[dreg] = x.number(unix.NFTA_PAYLOAD_LEN)
			}
		case "cmp":
			n, ok := length[x.number(unix.NFTA_CMP_SREG)]
			data := x.value(unix.NFTA_CMP_DATA)
			if !ok || x.number(unix.NFTA_CMP_OP) != unix.NFT_CMP_EQ || n > 16 || int(n) != len(data) {
				continue
			}
			var a [16]byte
			copy(a[:], data)
			return netip.PrefixFrom(netip.AddrFrom16(a), int(8*n)), true
		}
	}
	return netip.Prefix{}, false
}
