// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Finding is something about the host that keeps answers from being of use.
type Finding struct {
	Interface string `json:"interface"`
	// Reason is the label of the misconfiguration metric.
	Reason string `json:"reason"`
	// What is so, Stays what happens while it is, and Mend the command or the
	// setting that mends it.
	What  string `json:"what"`
	Stays string `json:"stays"`
	Mend  string `json:"mend"`
}

// The reasons of findings.
const (
	findingForwarding = "forwarding_off"
	findingAcceptRA   = "accept_ra"
	findingProxy      = "kernel_proxy"
	findingPort       = "bridge_port"
	findingOnLink     = "not_on_link"
	findingNoRoute    = "no_route_behind"
	findingIngress    = "ingress_filter"
	findingSnooping   = "mld_snooping"
	findingResponder  = "another_responder"
	findingUnicast    = "unicast_errors"
	findingPolicy     = "policy_rules"
)

// findingReasons lists every reason.
func findingReasons() []string {
	return []string{
		findingForwarding, findingAcceptRA, findingProxy, findingPort, findingOnLink, findingNoRoute,
		findingIngress, findingSnooping, findingResponder, findingUnicast, findingPolicy,
	}
}

// site is an uplink as far as findings are about it.
type site struct {
	uplink rules.Uplink
	link   rules.Link
	onLink []netip.Prefix
	rules  []rules.Rule // those that hold here
	routes *hostwatch.Routes
	judge  *behind.Judge
	host   hostwatch.UplinkState
	claims int // addresses of rules that other stations have
	// discovered is true for rules that nobody wrote.
	discovered bool
	// errorsBefore are ICMPv6 errors that do not count, and unprobed is true
	// while none do.
	errorsBefore hostwatch.Unreachables
	unprobed     bool
}

// inspect returns what is wrong, in the order of the reasons.
func (s *site) inspect() []Finding {
	var found []Finding
	add := func(reason, stays, mend, format string, args ...any) {
		found = append(found, Finding{Interface: s.uplink.Interface, Reason: reason, What: fmt.Sprintf(format, args...), Stays: stays, Mend: mend})
	}
	name := s.uplink.Interface
	if s.link.Index != 0 && s.link.IPv6 && !s.link.Forwarding {
		add(findingForwarding, "packets for the addresses behind this node arrive and are dropped", "sysctl -w net.ipv6.conf.all.forwarding=1",
			"the node does not forward what it receives on %s", name)
	}
	// With 0 a program heeds the advertisements and not the kernel.
	if s.link.Forwarding && s.routes.DefaultByRA(s.link.Index) && s.host.AcceptRA == "1" {
		add(findingAcceptRA, "the default route ends some time after the last router advertisement that was heeded", "sysctl -w net.ipv6.conf."+name+".accept_ra=2",
			"the default route comes from router advertisements, which a forwarding node ignores (accept_ra is 1)")
	}
	if p := s.proxied(); len(p) > 0 {
		add(findingProxy, "solicitations for them get two answers, the kernel's up to a second late", "ip -6 neigh del proxy "+p[0].String()+" dev "+name,
			"the kernel is a proxy for %s on %s, too", list(p), name)
	}
	if s.link.Master != "" {
		add(findingPort, "no solicitation is heard", "name "+s.link.Master+" as the uplink",
			"%s is a port of %s, which takes what arrives", name, s.link.Master)
	}
	s.inspectRules(add)
	if s.host.Ingress != "" && !s.uplink.Early {
		add(findingIngress, "it may hide or drop solicitations before they are heard", `set "socket: early" for the uplink`,
			"%s on %s", s.host.Ingress, name)
	}
	if s.host.XDP {
		add(findingIngress, "it may take or drop solicitations before anything hears them", "let the program pass ICMPv6 of the types 135 and 136",
			"an XDP program looks at frames on %s", name)
	}
	if wide := s.wide(); s.host.Snooping && len(wide) > 0 {
		add(findingSnooping, "solicitations for them are not let through, as nobody has joined their groups", "echo 0 > /sys/class/net/"+name+"/bridge/multicast_snooping, or use rules of /120 and longer",
			"%s snoops MLD, and %s are too wide to join all groups", name, list(wide))
	}
	if s.claims > 0 {
		add(findingResponder, "they are left to the other station", `see "ndproxyd status" for who it is, and narrow the rules or deny the addresses`,
			"another station on %s answers for %d addresses of the rules", name, s.claims)
	}
	if n := s.host.Unreachables.Since(s.errorsBefore); n > 0 && !s.unprobed && !s.uplink.ConsumeUnicast {
		add(findingUnicast, "routers that probe a known neighbor get an error beside the answer", `set "consume_unicast: true" for the uplink (needs CAP_NET_ADMIN), or drop ICMPv6 type 135 for the rules' prefixes in nftables' ip6 prerouting hook`,
			"the kernel has sent %d ICMPv6 errors (destination unreachable) out of %s, as it does, among others, for unicast solicitations of addresses that are not its own", n, name)
	}
	if p := s.routes.Policy(); len(p) > 0 && slices.ContainsFunc(s.rules, func(r rules.Rule) bool { return r.Method == rules.Route || r.Method == rules.Probe }) {
		add(findingPolicy, "an address may be routed otherwise than is answered for", `compare "ip -6 route get ADDRESS iif `+name+`" with "ndproxyd explain ADDRESS"`,
			"the kernel has policy rules that are not followed: %s", strings.Join(p, "; "))
	}
	return found
}

// inspectRules looks at prefixes that no router asks for, and at such that lead
// nowhere.
func (s *site) inspectRules(add func(reason, stays, mend, format string, args ...any)) {
	var off, nowhere []netip.Prefix
	for _, r := range s.rules {
		if r.Method == rules.Deny {
			continue
		}
		if s.isOffLink(r.Prefix) {
			off = append(off, r.Prefix)
		}
		// What leads into a tunnel or to this node itself is static's own affair.
		back := r.Method != rules.Static || s.judge.LeadsBack(r.Prefix)
		if !s.discovered && !r.Method.Clustered() && len(r.Devices) == 0 && back && !s.judge.LeadsBehind(r.Prefix) {
			nowhere = append(nowhere, r.Prefix)
		}
	}
	if len(off) > 0 {
		add(findingOnLink, "a router asks only for what it takes to be on its link", "ask the provider which prefix is on-link, or route the prefix to this node instead",
			"no address or on-link route of %s is in %s", s.uplink.Interface, list(off))
	}
	if len(nowhere) > 0 {
		add(findingNoRoute, "packets that the answers of static rules draw here go back to the router, in circles; other rules answer for nothing", "ip -6 route add "+nowhere[0].String()+" dev DEVICE",
			"the kernel routes nothing of %s to a device behind this node", list(nowhere))
	}
}

// isOffLink reports whether a prefix is in none of the link's, where one of its
// kind, global or unique local (RFC 4193), is known.
func (s *site) isOffLink(p netip.Prefix) bool {
	known := false
	for _, on := range s.onLink {
		if on.Overlaps(p) {
			return false
		}
		known = known || on.Addr().IsPrivate() == p.Addr().IsPrivate()
	}
	return known
}

// proxied returns the kernel's proxy entries that rules cover.
func (s *site) proxied() []netip.Addr {
	return slices.DeleteFunc(slices.Clone(s.host.Proxied), func(a netip.Addr) bool {
		return !slices.ContainsFunc(s.rules, func(r rules.Rule) bool { return r.Method != rules.Deny && r.Prefix.Contains(a) })
	})
}

// wide returns the rules whose groups are not joined by themselves.
func (s *site) wide() []netip.Prefix {
	var ps []netip.Prefix
	for _, r := range s.rules {
		if r.Method != rules.Deny && r.Prefix.Bits() < 120 {
			ps = append(ps, r.Prefix)
		}
	}
	return ps
}

// list shows the first of some things.
func list[T fmt.Stringer](all []T) string {
	const most = 3
	var words []string
	for _, v := range all[:min(len(all), most)] {
		words = append(words, v.String())
	}
	s := strings.Join(words, ", ")
	if len(all) > most {
		s += fmt.Sprintf(" and %d more", len(all)-most)
	}
	return s
}
