// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Uplink holds the facts about one uplink that findings are drawn from.
type Uplink struct {
	Config rules.Uplink
	// Link is the zero Link while there is no such interface.
	Link rules.Link
	// Forwards is true when the node forwards IPv6 packets that arrive here.
	Forwards bool
	// OnLink are the on-link prefixes, as rules.OnLink returns them.
	OnLink []netip.Prefix
	// Rules are those that hold here, see [Holding].
	Rules []rules.Rule
	// Discovered is true for rules that nobody wrote, and Gap says why there are
	// none for the uplink, "" where there are.
	Discovered bool
	Gap        string
	// Suggested answers for what no discovered rule covers.
	Suggested discover.Suggestion
	// Templates are what the templates of the configuration stand for here.
	Templates []discover.Expansion
	// Behind judges by the tables that count for packets from the uplink, and Table
	// by one table that a rule names.
	Behind Judge
	Table  func(table uint32) Judge
	Routes Routes
	// Host is what the kernel has configured on the uplink.
	Host hostwatch.UplinkState
	// Way is what becomes of the packets that answers draw here.
	Way Way
	// ProxyMode is the mode that kube-proxy says it is in, "" where it was not asked, or
	// there is none that tells.
	ProxyMode string
	// Decide tells what becomes of a solicitation for an address, and whether that
	// is known. It is nil where it never is.
	Decide func(netip.Addr) (reason ndp.Reason, known bool)
	// Conflicts is how many addresses of rules other stations have, and Neighbors how
	// many of rules that cover the link's own prefix, as [Contested] counts them.
	Conflicts, Neighbors int
	// UnicastErrors is what [UnicastErrors.Observe] returned last.
	UnicastErrors uint64
	// FastPath is which way the daemon answers here, nil where none does or none is known.
	FastPath *status.FastPath
}

// Judge decides what routes mean for a prefix.
type Judge interface {
	// LeadsBack reports whether packets for the prefix as a whole go back out of
	// an uplink, or are not routed at all.
	LeadsBack(netip.Prefix) bool
	// LeadsBehind reports whether any address of the prefix is behind the node.
	LeadsBehind(netip.Prefix) bool
	// Own returns those of the prefixes in which the node itself has addresses that
	// no kernel answers for.
	Own([]netip.Prefix) []netip.Prefix
	// OnlyOwn reports whether that is all that is behind the node of a prefix.
	OnlyOwn(netip.Prefix) bool
}

// Routes tells facts of the kernel's routing.
type Routes interface {
	// DefaultByRA reports whether a default route through the device with that
	// index comes from router advertisements.
	DefaultByRA(index int) bool
	// Policy returns the policy rules that are not followed, in the order of
	// their priority and as "ip -6 rule" shows them.
	Policy() []string
}

// Holding returns those of the rules that hold on an uplink.
func Holding(rs []rules.Rule, uplink string) []rules.Rule {
	return slices.DeleteFunc(slices.Clone(rs), func(r rules.Rule) bool { return !r.Covers(uplink) })
}

// judge returns the Judge of the tables that a rule asks.
func (u *Uplink) judge(r *rules.Rule) Judge {
	if r.Table != 0 {
		return u.Table(r.Table)
	}
	return u.Behind
}

// onlyOwn reports whether the rules are about nothing but what the node itself has,
// for which it need not forward.
func (u *Uplink) onlyOwn() bool {
	answering := u.answering()
	return len(answering) > 0 && !slices.ContainsFunc(answering, func(r rules.Rule) bool { return !u.judge(&r).OnlyOwn(r.Prefix) })
}

// Contested counts those of some addresses, which other stations have, that the rules
// which hold would answer for: for an address of a deny rule another station may answer.
// Where the rule covers an on-link prefix with the address in it, other stations are
// meant to live there. Each that is heard once counts as a neighbor, and is no conflict.
func Contested(addresses iter.Seq[netip.Addr], holding []rules.Rule, onLink []netip.Prefix) (conflicts, neighbors int) {
	for a := range addresses {
		var decides *rules.Rule
		for i, r := range holding {
			if r.Prefix.Contains(a) && (decides == nil || r.Prefix.Bits() > decides.Prefix.Bits()) {
				decides = &holding[i]
			}
		}
		lives := func(on netip.Prefix) bool { return on.Contains(a) && decides.Prefix.Bits() <= on.Bits() }
		switch {
		case decides == nil, decides.Method == rules.Deny:
		case slices.ContainsFunc(onLink, lives):
			neighbors++
		default:
			conflicts++
		}
	}
	return conflicts, neighbors
}

// answering returns the rules that can lead to an answer.
func (u *Uplink) answering() []rules.Rule {
	return slices.DeleteFunc(slices.Clone(u.Rules), func(r rules.Rule) bool { return r.Method == rules.Deny })
}
