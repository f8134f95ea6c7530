// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// source is where rules come from.
type source interface {
	rules(chain) ([][]expression, error)
	elements(family uint8, table, set string) ([]element, error)
	close() error
}

// key names a chain or a set.
type key struct {
	family      uint8
	table, name string
}

// Ruleset is what nftables has for IPv6 packets in one network namespace.
type Ruleset struct {
	from     source
	base     []chain // by priority
	chains   map[key]chain
	rules    map[key][][]expression
	elements map[key][]element
	err      error
}

func newRuleset(from source, chains []chain) *Ruleset {
	r := &Ruleset{from: from, chains: make(map[key]chain), rules: make(map[key][][]expression), elements: make(map[key][]element)}
	for _, c := range chains {
		r.chains[key{c.family, c.table, c.name}] = c
		if c.base {
			r.base = append(r.base, c)
		}
	}
	return r
}

// Close ends the connection to the kernel.
func (r *Ruleset) Close() error { return r.from.close() }

// rulesOf returns the rules of a chain, reading them the first time.
func (r *Ruleset) rulesOf(c chain) [][]expression {
	k := key{c.family, c.table, c.name}
	have, ok := r.rules[k]
	if !ok && r.err == nil {
		have, r.err = r.from.rules(c)
		r.rules[k] = have
	}
	return have
}

// maxElements bounds how much of a set is looked at.
const maxElements = 4096

// elementsOf returns the elements of a set, reading them the first time, and false
// where there are too many.
func (r *Ruleset) elementsOf(c chain, set string) ([]element, bool) {
	k := key{c.family, c.table, set}
	have, ok := r.elements[k]
	if !ok && r.err == nil {
		have, r.err = r.from.elements(c.family, c.table, set)
		r.elements[k] = have
	}
	return have, len(have) <= maxElements
}

// protocols are those that a packet is looked at with: what is dropped with all of
// them is dropped for certain. An ICMPv6 message is an echo request or its reply.
func protocols() []byte {
	return []byte{
		unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMPV6, unix.IPPROTO_SCTP, unix.IPPROTO_ESP,
		unix.IPPROTO_GRE, unix.IPPROTO_IPV6, unix.IPPROTO_IPIP,
	}
}

// Fate tells what becomes of a packet. After an error, which is one of reading the
// rules, nothing is certain any more.
func (r *Ruleset) Fate(p Packet) (Fate, error) {
	var all Fate
	for i, protocol := range protocols() {
		f := r.fate(p, protocol)
		if r.err != nil {
			return Fate{}, r.err
		}
		all.Translated = all.Translated || f.Translated
		if i == 0 {
			all.Dropped, all.Drop = f.Dropped, f.Drop
		}
		all.Dropped = all.Dropped && f.Dropped
	}
	if !all.Dropped {
		all.Drop = Drop{}
	}
	return all, nil
}

// fate tells what becomes of a packet of one protocol.
func (r *Ruleset) fate(p Packet, protocol byte) (f Fate) {
	for _, hook := range p.hooks() {
		for _, c := range r.base {
			if c.hook != hook {
				continue
			}
			e := evaluation{set: r, packet: p, protocol: protocol, base: c}
			out := e.chain(c, 0)
			if out&masquerade != 0 {
				out |= accept
			}
			switch {
			case out&next == 0:
			case c.drop:
				e.drop = Drop{Policy: true}
				out |= drop
			default:
				out |= accept
			}
			if out&(accept|drop) == drop && !f.Translated {
				d := e.drop
				d.Family, d.Table, d.Base, d.Hook = familyName(c.family), c.table, c.name, hookName(hook)
				d.Raw = c.priority < conntrackPriority
				return Fate{Dropped: true, Drop: d}
			}
			if hook == hookPrerouting { // elsewhere it is too late for the route
				f.Translated = f.Translated || out&translate != 0
			}
		}
	}
	return f
}

// conntrackPriority is where packets get a state (NF_IP6_PRI_CONNTRACK).
const conntrackPriority = -200

func familyName(family uint8) string {
	if family == unix.NFPROTO_INET {
		return "inet"
	}
	return "ip6"
}

// Destinations returns the prefixes and addresses that rules of base chains which
// a forwarded packet comes to name as its destination.
func (r *Ruleset) Destinations() []netip.Prefix {
	var out []netip.Prefix
	seen := make(map[netip.Prefix]bool)
	for _, c := range r.base {
		if c.hook != hookPrerouting && c.hook != hookForward {
			continue
		}
		for _, rule := range r.rulesOf(c) {
			if p, ok := destinationOf(rule); ok && !seen[p] {
				seen[p] = true
				out = append(out, p)
			}
		}
	}
	return out
}

// Chain reports whether there is a chain of that name in a table of the family
// ip6, as iptables makes them.
func (r *Ruleset) Chain(table, name string) bool {
	_, ok := r.chains[key{unix.NFPROTO_IPV6, table, name}]
	return ok
}
