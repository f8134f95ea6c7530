// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// policyRule is one of the rules by which the kernel chooses a routing table.
type policyRule struct {
	priority uint32
	action   uint8
	table    uint32
	target   uint32 // the priority that a goto leads to
	text     string // as "ip -6 rule" shows it

	// What a packet has to be like. Of these the daemon knows where it arrives and
	// where it goes.
	inverted bool
	l3mdev   bool         // it arrives in a VRF, whose table is the rule's
	iif      string       // "" for any device
	oif      bool         // it comes from a socket that is bound to a device
	to       netip.Prefix // invalid for any destination
	marked   bool         // it has the mark
	mark     uint32       // as far as mask has bits
	mask     uint32
	unknown  bool // what cannot be known: source, protocol, ports, ...

	// suppress is the length up to which routes do not count, -1 for none, and group
	// the group of devices whose routes do not count, -1 for none.
	suppress int
	group    int64
}

// The parts of struct fib_rule_hdr and the attributes that matter here
// (linux/fib_rules.h).
const (
	actionTable       = 1 // FR_ACT_TO_TBL
	actionGoto        = 2 // FR_ACT_GOTO
	actionNop         = 3 // FR_ACT_NOP
	actionBlackhole   = 6 // FR_ACT_BLACKHOLE
	actionUnreachable = 7 // FR_ACT_UNREACHABLE
	actionProhibit    = 8 // FR_ACT_PROHIBIT

	flagInvert = 0x2 // FIB_RULE_INVERT

	fraDst            = 1
	fraSrc            = 2
	fraIifName        = 3
	fraGoto           = 4
	fraPriority       = 6
	fraFwMark         = 10
	fraFlow           = 11
	fraTunID          = 12
	fraSuppressGroup  = 13
	fraSuppressPrefix = 14
	fraTable          = 15
	fraFwMask         = 16
	fraOifName        = 17
	fraPad            = 18
	fraL3mdev         = 19
	fraUsers          = 20
	fraProtocol       = 21
	fraIPProto        = 22
	fraSourcePorts    = 23
	fraPorts          = 24
	fraDSCP           = 25
)

// parsePolicy reads the body of RTM_NEWRULE.
func parsePolicy(b []byte) (policyRule, bool) {
	if len(b) < sizeRtMsg || b[0] != unix.AF_INET6 {
		return policyRule{}, false
	}
	r := policyRule{table: uint32(b[4]), action: b[7], suppress: -1, group: -1, mask: 1<<32 - 1}
	var words []string
	if r.inverted = number(b[8:])&flagInvert != 0; r.inverted {
		words = append(words, "not")
	}
	if b[3] != 0 {
		words, r.unknown = append(words, fmt.Sprintf("tos %#x", b[3])), true
	}
	for kind, v := range attributes(b[sizeRtMsg:]) {
		if s := r.attribute(kind, v, b); s != "" {
			words = append(words, s)
		}
	}
	if r.marked {
		s := fmt.Sprintf("fwmark %#x", r.mark)
		if r.mask != 1<<32-1 {
			s += fmt.Sprintf("/%#x", r.mask)
		}
		words = append(words, s)
	}
	r.text = fmt.Sprintf("%d:", r.priority)
	for _, w := range append(words, r.outcome()) {
		r.text += " " + w
	}
	return r, true
}

// attribute takes over an attribute of a rule, and shows one that makes it apply to
// some packets or routes only; it returns "" for others.
func (r *policyRule) attribute(kind uint16, v, header []byte) string {
	const unset = 1<<32 - 1
	switch kind {
	case fraPriority:
		r.priority = number(v)
	case fraTable:
		r.table = number(v)
	case fraGoto:
		r.target = number(v)
	case fraFlow, fraPad, fraProtocol:
	case fraFwMark:
		r.mark, r.marked = number(v), true
	case fraFwMask: // also for the mark 0, which then is left out
		r.mask, r.marked = number(v), true
	case fraDst:
		r.to = prefixOf(v, header[1])
		return "to " + r.to.String()
	case fraSrc:
		r.unknown = true
		return "from " + prefixOf(v, header[2]).String()
	case fraIifName:
		r.iif = strings.TrimRight(string(v), "\x00")
		return "iif " + r.iif
	case fraOifName:
		r.oif = true
		return "oif " + strings.TrimRight(string(v), "\x00")
	case fraSuppressPrefix:
		if n := number(v); n <= 128 {
			r.suppress = int(n)
			return fmt.Sprintf("suppress_prefixlength %d", n)
		}
	case fraSuppressGroup:
		if n := number(v); n != unset {
			r.group = int64(n)
			return fmt.Sprintf("suppress_ifgroup %d", n)
		}
	case fraL3mdev:
		r.l3mdev = len(v) > 0 && v[0] != 0
	default:
		r.unknown = true
		return unknownSelector(kind, v)
	}
	return ""
}

// prefixOf reads an address of a rule with its length.
func prefixOf(v []byte, bits byte) netip.Prefix {
	a, _ := netip.AddrFromSlice(v)
	p, _ := a.Prefix(int(bits))
	return p
}

// unknownSelector shows what a rule selects by that an address does not tell.
func unknownSelector(kind uint16, v []byte) string {
	ports := func(name string) string {
		if len(v) < 4 {
			return name
		}
		from, to := binary.NativeEndian.Uint16(v), binary.NativeEndian.Uint16(v[2:]) // struct fib_rule_port_range
		if from == to {
			return fmt.Sprintf("%s %d", name, from)
		}
		return fmt.Sprintf("%s %d-%d", name, from, to)
	}
	switch {
	case kind == fraIPProto && len(v) > 0:
		return fmt.Sprintf("ipproto %d", v[0])
	case kind == fraSourcePorts:
		return ports("sport")
	case kind == fraPorts:
		return ports("dport")
	case kind == fraUsers && len(v) >= 8:
		return fmt.Sprintf("uidrange %d-%d", number(v), number(v[4:]))
	case kind == fraDSCP && len(v) > 0:
		return fmt.Sprintf("dscp %d", v[0])
	case kind == fraTunID:
		return "tun_id"
	}
	return fmt.Sprintf("selector %d", kind)
}

// outcome shows what a rule does.
func (r *policyRule) outcome() string {
	switch r.action {
	case actionTable:
		if r.l3mdev {
			return "lookup [l3mdev-table]"
		}
		return fmt.Sprintf("lookup %d", r.table)
	case actionGoto:
		return fmt.Sprintf("goto %d", r.target)
	case actionNop:
		return "nop"
	}
	return Path{Kind: r.refusal()}.TypeName()
}

// refusal is the type of a route that does what a rule does that ends the search.
func (r *policyRule) refusal() uint8 {
	switch r.action {
	case actionUnreachable:
		return unix.RTN_UNREACHABLE
	case actionProhibit:
		return unix.RTN_PROHIBIT
	}
	return unix.RTN_BLACKHOLE // as fib6_rule_action does for actions that it does not know
}

// parsePolicies reads rules in the order in which the kernel looks at them.
func parsePolicies(messages [][]byte) []policyRule {
	var policy []policyRule
	for _, b := range messages {
		if rule, ok := parsePolicy(b); ok {
			policy = append(policy, rule)
		}
	}
	slices.SortStableFunc(policy, func(a, b policyRule) int { return cmp.Compare(a.priority, b.priority) })
	return policy
}

// plain returns the table of a rule that holds for every packet and every route, and
// false for any other rule.
func (r *policyRule) plain() (table uint32, ok bool) {
	return r.table, r.action == actionTable && !r.inverted && !r.l3mdev && r.iif == "" && !r.oif &&
		!r.to.IsValid() && !r.marked && !r.unknown && r.suppress < 0 && r.group < 0
}
