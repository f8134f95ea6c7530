// SPDX-License-Identifier: Apache-2.0

package firewall

import "golang.org/x/sys/unix"

// outcome is a set of what may become of a packet in a chain.
type outcome uint8

const (
	accept outcome = 1 << iota
	drop
	// next: no rule has decided.
	next
	// translate: its destination may have been changed.
	translate
	// masquerade: it is accepted with another source address.
	masquerade
)

// verdict is what a rule does.
type verdict struct {
	kind  verdictKind
	chain string
}

type verdictKind uint8

const (
	// goOn: the next rule follows.
	goOn verdictKind = iota
	accepts
	// masquerades accepts it with another source address.
	masquerades
	drops
	jumps
	goes
	returns
	// translates changes the destination, and is the end of the chain or not.
	translates
	// unsure: nobody here knows what it does.
	unsure
)

// Verdicts of linux/netfilter.h and linux/netfilter/nf_tables.h.
const (
	nfDrop   = 0
	nfAccept = 1
)

func parseVerdict(m attributes) verdict {
	v := verdict{chain: m.text(unix.NFTA_VERDICT_CHAIN)}
	switch code := int32(m.number(unix.NFTA_VERDICT_CODE)); code { //nolint:gosec // a signed number
	case nfDrop:
		v.kind = drops
	case nfAccept:
		v.kind = accepts
	case unix.NFT_JUMP:
		v.kind = jumps
	case unix.NFT_GOTO:
		v.kind = goes
	case unix.NFT_RETURN:
		v.kind = returns
	case unix.NFT_CONTINUE:
		v.kind = goOn
	default:
		v.kind = unsure
	}
	return v
}

// step is a verdict of a rule, and whether it is reached.
type step struct {
	match truth
	verdict
}

// maxDepth is how deep chains call one another (NFT_JUMP_STACK_SIZE).
const maxDepth = 16

// evaluation takes a packet through a base chain.
type evaluation struct {
	set      *Ruleset
	packet   Packet
	protocol byte // IPPROTO_*
	base     chain
	// drop is the last rule that drops it, and masked the last chain that changes its
	// source.
	drop   Drop
	masked string
}

// chain returns what may become of the packet in a chain.
func (e *evaluation) chain(c chain, depth int) (out outcome) {
	if depth > maxDepth {
		return accept | drop | next
	}
	for _, rule := range e.set.rulesOf(c) {
		for _, s := range e.rule(c, rule) {
			if s.match == no {
				continue
			}
			may, ends := e.step(c, rule, s, depth)
			out |= may
			if ends && s.match == yes {
				return out
			}
		}
	}
	return out | next
}

// step returns what may become of the packet by one verdict, and whether that is
// the end of the chain.
func (e *evaluation) step(c chain, rule []expression, s step, depth int) (out outcome, ends bool) {
	switch s.kind {
	case goOn:
		return 0, false
	case accepts:
		return accept, true
	case masquerades:
		e.masked = c.name
		return masquerade, true
	case drops:
		e.drop = dropOf(c, rule)
		e.drop.Except = append(e.drop.Except, e.exceptions(c, rule)...)
		return drop, true
	case returns:
		return next, true
	case translates:
		return accept | translate, false
	case jumps, goes:
		target, ok := e.set.chains[key{c.family, c.table, s.chain}]
		if !ok {
			return accept | drop, false
		}
		sub := e.chain(target, depth+1)
		if s.kind == goes { // what comes back goes on where this chain was called
			return sub, true
		}
		return sub &^ next, sub&next == 0
	case unsure:
	}
	return accept | drop, false
}
