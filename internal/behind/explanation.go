// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
)

// Explanation tells what the kernel's routes say of an address, and what the
// Judge makes of it.
type Explanation struct {
	// Route is the route that decides, as "ip -6 route" shows it, "" for none.
	Route string `json:"route,omitempty"`
	// Table is the number of the table that has it.
	Table uint32 `json:"table,omitempty"`
	// PolicyRule is the policy rule that leads to the table, as "ip -6 rule" shows
	// it, "" where every host has that rule.
	PolicyRule string `json:"policy_rule,omitempty"`
	// Behind is true when the route leads behind this node, Host when this node
	// itself takes the packets and no kernel answers for it, and Why tells why
	// neither is so, or why the latter does not count.
	Behind bool   `json:"behind"`
	Host   bool   `json:"host,omitempty"`
	Why    string `json:"why,omitempty"`
	// NotFollowed are policy rules that may make the kernel decide otherwise.
	NotFollowed []string `json:"not_followed,omitempty"`
}

// Explain tells how the entry for an address comes about.
func (j *Judge) Explain(a netip.Addr) (e Explanation) {
	j.read(func(v judgment) { e = v.explain(a) })
	return e
}

func (v judgment) explain(a netip.Addr) Explanation {
	e := Explanation{NotFollowed: v.tables.Policy()}
	if a.IsLinkLocalUnicast() || a.IsMulticast() { // hostwatch leaves their routes out
		e.Why = "a link-local or multicast address belongs to one link, and is never behind this node"
		return e
	}
	d, ok := v.tables.Decide(netip.PrefixFrom(a, a.BitLen()))
	if e.PolicyRule = d.Rule; isUsual(d.Rule) {
		e.PolicyRule = ""
	}
	switch {
	case !ok, !d.Route.IsValid() && d.Rule == "":
		e.Why = "the kernel has no route for the address"
		return e
	case !d.Route.IsValid():
		e.Why = "a policy rule of the kernel refuses packets for the address: " + d.Rule
		return e
	}
	d.Paths = v.taken(d.Paths)
	e.Route, e.Table = v.tables.Format(d), d.Table
	for _, p := range d.Paths {
		if _, why := v.judge(p); why != "" {
			e.Why = "the route " + why + v.cure(p)
			break
		}
	}
	var hidden bool
	e.Host, hidden = v.host(d)
	switch device, _ := v.tables.Device(d.Paths[0].Index); {
	case d.Prefix.Bits() == 0:
		e.Why = "a default route never counts"
	case isDefault(d.Prefix):
		e.Why = "a route as wide as " + d.Prefix.String() + " is a part of a default route, which never counts"
	case hidden:
		e.Why = "the address is one of " + device.Name + ", which hides its addresses from the link on purpose: a rule that names " + device.Name + " in devices answers for it"
	case e.Host:
		e.Why = ""
	}
	e.Behind = e.Why == "" && !e.Host
	return e
}

// cure tells what makes a path count that does not, "" where that would be wrong.
func (v judgment) cure(p hostwatch.Path) string {
	d, _ := v.tables.Device(p.Index)
	switch forwarded, _ := v.judge(p); {
	case forwarded && !v.policy.named(d) && v.policy.classify(d) == Tunnel:
		return ", whose far end is taken for another node of the cluster: a rule that names " + d.Name + " in devices answers for what is routed there"
	case d.Loopback && p.Kind == unix.RTN_UNICAST:
		return ", which has no such address: a route of the type local (ip -6 route add local) gives it the prefix"
	}
	return ""
}

// isUsual reports whether a policy rule is one of those that the kernel starts with.
func isUsual(rule string) bool {
	return rule == "0: lookup 255" || rule == "32766: lookup 254"
}
