// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// policy looks at the kernel's policy rules that are not followed: an address
// may be routed otherwise than its answer takes for granted. Most of them cannot
// do so, and stand on a host for ever.
func (c *collector) policy() {
	if !slices.ContainsFunc(c.Rules, func(r rules.Rule) bool { return r.Method == rules.Route || r.Method == rules.Probe }) {
		return
	}
	var concerned, others []string
	mainFirst := false // the routes of the main table come before the rule's
	for _, text := range c.Routes.Policy() {
		s := parsePolicy(text)
		if c.concerns(s, mainFirst) {
			concerned = append(concerned, text)
		} else {
			others = append(others, text)
		}
		mainFirst = mainFirst || s.only("suppress_prefixlength") && s.table == tableMain
	}
	if len(concerned) > 0 {
		c.warn(reasonPolicy, "an address may be routed otherwise than its answer takes for granted", `compare "ip -6 route get ADDRESS from SOURCE iif `+c.name+`" with "ndproxyd explain ADDRESS"`,
			"policy rules of the kernel are not followed: %s", strings.Join(concerned, "; "))
	}
	if len(others) > 0 {
		c.inform(reasonPolicy, "none that shows: they do not select packets that arrive on "+c.name+" for an address of the rules", "nothing has to be done, unless something marks such packets, or "+c.name+" belongs to a VRF",
			"policy rules of the kernel are not followed: %s", strings.Join(others, "; "))
	}
}

// Numbers of routing tables that have names (RT_TABLE_*).
const (
	tableMain  = "254"
	tableLocal = "255"
)

// Numbers of linux/fib_rules.h.
const (
	actionGoto    = "2"           // FR_ACT_GOTO
	selectorUsers = "selector 20" // FRA_UID_RANGE
)

// policyRule is what a policy rule selects by, and the table that it leads to,
// "" for none.
type policyRule struct {
	inverted  bool
	selectors map[string]string
	table     string
}

// parsePolicy reads a rule as hostwatch.Routes shows it, for example
// "10: not fwmark 0x200 lookup 100".
func parsePolicy(text string) policyRule {
	r := policyRule{selectors: make(map[string]string)}
	_, text, _ = strings.Cut(text, ":")
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		word, next := words[i], ""
		switch word {
		case "not":
			r.inverted = true
			continue
		case "l3mdev":
			r.selectors[word] = ""
			continue
		}
		if i++; i < len(words) {
			next = words[i]
		}
		switch word {
		case "lookup":
			r.table = next
		case "selector": // one that hostwatch has no name for
			r.selectors["selector "+next] = ""
		default:
			r.selectors[word] = next
		}
	}
	return r
}

// only reports whether a rule selects by nothing else.
func (r policyRule) only(selector string) bool {
	_, ok := r.selectors[selector]
	return ok && len(r.selectors) == 1 && !r.inverted
}

// concerns reports whether a rule may select packets that arrive on the uplink
// for an address of the rules, and route them otherwise than the main table.
// mainFirst is true when the main table's routes, but for the default route, were
// looked at before.
func (c *collector) concerns(r policyRule, mainFirst bool) bool {
	if r.inverted { // wg-quick: everything but the tunnel's own packets
		return !mainFirst
	}
	for selector, value := range r.selectors {
		switch selector {
		case "fwmark": // packets arrive without a mark
			if mark, _, _ := strings.Cut(value, "/"); mark != "0x0" {
				return false
			}
		case "iif":
			if value != c.name {
				return false
			}
		case "oif", "l3mdev", selectorUsers: // of sockets; of devices in a VRF
			return false
		case "suppress_prefixlength", "suppress_ifgroup":
			if r.table == tableMain || r.table == tableLocal { // which are followed
				return false
			}
		case "to":
			if p, err := netip.ParsePrefix(value); err == nil && !slices.ContainsFunc(c.Rules, func(r rules.Rule) bool { return r.Prefix.Overlaps(p) }) {
				return false
			}
		case "from": // what is forwarded to us comes from elsewhere
			if p, err := netip.ParsePrefix(value); err == nil && c.isOurs(p) {
				return false
			}
		}
	}
	// A rule without a selector that ends the search is followed.
	return !r.only("action") || r.selectors["action"] == actionGoto
}

// isOurs reports whether a prefix of senders is on the link or behind the node.
func (c *collector) isOurs(p netip.Prefix) bool {
	covers := func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) }
	return slices.ContainsFunc(c.OnLink, covers) || slices.ContainsFunc(c.Rules, func(r rules.Rule) bool { return covers(r.Prefix) })
}
