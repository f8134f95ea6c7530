// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Masquerade returns the chain that gives a forwarded packet of TCP, UDP and ICMPv6
// another source address for certain, and "" where none does. It does not look at the
// chains before, which may set a mark or drop the packet. After an error, which is one
// of reading the rules, nothing is certain any more.
func (r *Ruleset) Masquerade(p Packet) (string, error) {
	chain := ""
	for _, protocol := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMPV6} {
		by := r.masquerade(p, protocol)
		if r.err != nil || by == "" {
			return "", r.err
		}
		chain = by
	}
	return chain, nil
}

// masquerade returns the chain for a packet of one protocol.
func (r *Ruleset) masquerade(p Packet, protocol byte) string {
	for _, c := range r.base {
		if c.hook != hookPostrouting {
			continue
		}
		e := evaluation{set: r, packet: p, protocol: protocol, base: c}
		if e.chain(c, 0) == masquerade {
			return familyName(c.family) + " " + c.table + " " + e.masked
		}
	}
	return ""
}

// Masquerades reports whether a chain that iptables made in a table has a rule that
// changes the source of packets.
func (r *Ruleset) Masquerades(table, name string) bool {
	c, ok := r.chains[key{unix.NFPROTO_IPV6, table, name}]
	return ok && slices.ContainsFunc(r.rulesOf(c), func(rule []expression) bool {
		return slices.ContainsFunc(rule, func(x expression) bool {
			return x.name == "masq" || x.name == "nat" && x.number(unix.NFTA_NAT_TYPE) == unix.NFT_NAT_SNAT ||
				x.name == "target" && target(x).kind == masquerades
		})
	})
}
