// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"encoding/binary"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Attributes and flags of linux/netfilter/nf_tables.h that golang.org/x/sys has
// no names for.
const (
	setElemKeyEnd   = 10 // NFTA_SET_ELEM_KEY_END
	setElemCatchall = 2  // NFT_SET_ELEM_CATCHALL
	bitwiseOp       = 6  // NFTA_BITWISE_OP
	tableDormant    = 1  // NFT_TABLE_F_DORMANT
)

// attributes are those of one netlink message or of a nested attribute, by type.
// Of lists, which have one type for all, see [list].
type attributes map[uint16][]byte

// typeMask takes the flags off an attribute's type (NLA_TYPE_MASK).
const typeMask = 0x3fff

func parse(b []byte) attributes {
	all, err := netlink.UnmarshalAttributes(b)
	if err != nil {
		return nil
	}
	m := make(attributes, len(all))
	for _, a := range all {
		m[a.Type&typeMask] = a.Data
	}
	return m
}

// list returns the attributes of a list, in order.
func list(b []byte) [][]byte {
	all, err := netlink.UnmarshalAttributes(b)
	if err != nil {
		return nil
	}
	out := make([][]byte, 0, len(all))
	for _, a := range all {
		out = append(out, a.Data)
	}
	return out
}

// number returns a number in the order of the network, 0 where it is missing.
func (m attributes) number(kind uint16) uint32 {
	if b := m[kind]; len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (m attributes) has(kind uint16) bool { _, ok := m[kind]; return ok }

func (m attributes) text(kind uint16) string { return strings.TrimRight(string(m[kind]), "\x00") }

// value returns the octets of a nested NFTA_DATA_VALUE.
func (m attributes) value(kind uint16) []byte { return parse(m[kind])[unix.NFTA_DATA_VALUE] }

// expression is one part of a rule: a load, a comparison or an action.
type expression struct {
	name string
	attributes
}

func parseRule(m attributes) []expression {
	var out []expression
	for _, b := range list(m[unix.NFTA_RULE_EXPRESSIONS]) {
		e := parse(b)
		out = append(out, expression{name: e.text(unix.NFTA_EXPR_NAME), attributes: parse(e[unix.NFTA_EXPR_DATA])})
	}
	return out
}

// chain is one of nftables' chains.
type chain struct {
	family      uint8
	table, name string
	// base is true where the kernel comes to it by itself, at hook, by the order of
	// priority.
	base     bool
	hook     uint32
	priority int32
	// drop is its policy.
	drop bool
}

// Hooks of linux/netfilter.h.
const (
	hookPrerouting  = unix.NF_INET_PRE_ROUTING
	hookInput       = unix.NF_INET_LOCAL_IN
	hookForward     = unix.NF_INET_FORWARD
	hookPostrouting = unix.NF_INET_POST_ROUTING
)

func hookName(hook uint32) string {
	switch hook {
	case hookPrerouting:
		return "prerouting"
	case hookInput:
		return "input"
	case hookForward:
		return "forward"
	}
	return "postrouting"
}

func parseChain(family uint8, m attributes) chain {
	c := chain{family: family, table: m.text(unix.NFTA_CHAIN_TABLE), name: m.text(unix.NFTA_CHAIN_NAME)}
	if m.has(unix.NFTA_CHAIN_HOOK) {
		h := parse(m[unix.NFTA_CHAIN_HOOK])
		c.base, c.hook = true, h.number(unix.NFTA_HOOK_HOOKNUM)
		c.priority = int32(h.number(unix.NFTA_HOOK_PRIORITY)) //nolint:gosec // a signed number
		c.drop = m.has(unix.NFTA_CHAIN_POLICY) && m.number(unix.NFTA_CHAIN_POLICY) == nfDrop
	}
	return c
}

// element is one of a set or map.
type element struct {
	key, keyEnd []byte
	// end is true for the first value after an interval.
	end, catchall bool
	// verdict is that of a verdict map, nil elsewhere.
	verdict *verdict
}

func parseElement(b []byte) element {
	m := parse(b)
	e := element{key: m.value(unix.NFTA_SET_ELEM_KEY), keyEnd: m.value(setElemKeyEnd)}
	flags := m.number(unix.NFTA_SET_ELEM_FLAGS)
	e.end, e.catchall = flags&unix.NFT_SET_ELEM_INTERVAL_END != 0, flags&setElemCatchall != 0
	if data := parse(m[unix.NFTA_SET_ELEM_DATA]); data.has(unix.NFTA_DATA_VERDICT) {
		v := parseVerdict(parse(data[unix.NFTA_DATA_VERDICT]))
		e.verdict = &v
	}
	return e
}
