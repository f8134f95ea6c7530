// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// policyRule is one of the rules by which the kernel chooses a routing table.
type policyRule struct {
	priority uint32
	table    uint32
	action   uint8
	selector string // what packets have to be like, "" for all
}

// The parts of struct fib_rule_hdr and the attributes that matter here
// (linux/fib_rules.h).
const (
	actionTable = 1 // FR_ACT_TO_TBL
	actionGoto  = 2 // FR_ACT_GOTO
	actionNop   = 3 // FR_ACT_NOP

	flagInvert = 0x2 // FIB_RULE_INVERT

	fraDst            = 1
	fraSrc            = 2
	fraIifName        = 3
	fraGoto           = 4
	fraPriority       = 6
	fraFwMark         = 10
	fraFlow           = 11
	fraSuppressGroup  = 13
	fraSuppressPrefix = 14
	fraTable          = 15
	fraFwMask         = 16
	fraOifName        = 17
	fraPad            = 18
	fraL3mdev         = 19
	fraProtocol       = 21
)

// parsePolicy reads the body of RTM_NEWRULE.
func parsePolicy(b []byte) (policyRule, bool) {
	if len(b) < sizeRtMsg || b[0] != unix.AF_INET6 {
		return policyRule{}, false
	}
	r := policyRule{table: uint32(b[4]), action: b[7]}
	var parts []string
	if number(b[8:])&flagInvert != 0 {
		parts = append(parts, "not")
	}
	if b[3] != 0 {
		parts = append(parts, fmt.Sprintf("tos %#x", b[3]))
	}
	var mark, mask uint32
	marked := false
	for kind, v := range attributes(b[sizeRtMsg:]) {
		switch kind {
		case fraFwMark:
			mark, marked = number(v), true
		case fraFwMask: // also for the mark 0, which then is left out
			mask, marked = number(v), true
		case fraPriority:
			r.priority = number(v)
		case fraTable:
			r.table = number(v)
		case fraGoto, fraFlow, fraPad, fraProtocol:
		default:
			if s := selector(kind, v, b); s != "" {
				parts = append(parts, s)
			}
		}
	}
	if marked {
		s := fmt.Sprintf("fwmark %#x", mark)
		if mask != 0 && mask != 1<<32-1 || mark == 0 {
			s += fmt.Sprintf("/%#x", mask)
		}
		parts = append(parts, s)
	}
	r.selector = strings.Join(parts, " ")
	return r, true
}

// selector shows an attribute that makes a rule apply to some packets only, "" for
// one that does not.
func selector(kind uint16, v, header []byte) string {
	prefix := func(bits byte) string {
		a, _ := netip.AddrFromSlice(v)
		return netip.PrefixFrom(a, int(bits)).String()
	}
	const unset = 1<<32 - 1
	switch kind {
	case fraDst:
		return "to " + prefix(header[1])
	case fraSrc:
		return "from " + prefix(header[2])
	case fraIifName:
		return "iif " + strings.TrimRight(string(v), "\x00")
	case fraOifName:
		return "oif " + strings.TrimRight(string(v), "\x00")
	case fraSuppressPrefix:
		if n := number(v); n != unset {
			return fmt.Sprintf("suppress_prefixlength %d", n)
		}
		return ""
	case fraSuppressGroup:
		if n := number(v); n != unset {
			return fmt.Sprintf("suppress_ifgroup %d", n)
		}
		return ""
	case fraL3mdev:
		if len(v) > 0 && v[0] != 0 {
			return "l3mdev"
		}
		return ""
	}
	return fmt.Sprintf("selector %d", kind)
}

// String shows the rule as "ip -6 rule" does, as far as it matters here.
func (r policyRule) String() string {
	s := fmt.Sprintf("%d:", r.priority)
	if r.selector != "" {
		s += " " + r.selector
	}
	if r.action == actionTable {
		return s + fmt.Sprintf(" lookup %d", r.table)
	}
	return s + fmt.Sprintf(" action %d", r.action)
}

// setPolicy takes the order of the tables from the policy rules: of those that
// hold for every packet, up to one that ends the search.
func (r *Routes) setPolicy(messages [][]byte) {
	var policy []policyRule
	for _, b := range messages {
		if rule, ok := parsePolicy(b); ok {
			policy = append(policy, rule)
		}
	}
	slices.SortStableFunc(policy, func(a, b policyRule) int { return cmp.Compare(a.priority, b.priority) })
	r.order = nil
	for _, rule := range policy {
		switch {
		case rule.action == actionNop:
		case rule.selector != "", rule.action == actionGoto:
			r.policy = append(r.policy, rule.String())
		case rule.action != actionTable: // nothing gets past it
			r.policy = append(r.policy, rule.String())
			return
		case !slices.Contains(r.order, rule.table):
			r.order = append(r.order, rule.table)
			if r.tables[rule.table] == nil {
				r.tables[rule.table] = new(table)
			}
		}
	}
}
