// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// shared looks for on-link prefixes of the uplink that devices behind the node have as
// well: a route for such a prefix does not tell where a single address is.
func (c *collector) shared() {
	for _, on := range c.OnLink {
		if devices := c.sharing(on); len(devices) > 0 {
			c.sharedPrefix(on, devices)
		}
	}
	c.drawnBack()
}

// sharing returns the devices behind the node with an address or a route whose prefix
// holds an on-link prefix of the uplink.
func (c *collector) sharing(on netip.Prefix) []Device {
	holds := func(p netip.Prefix) bool { return p.Bits() > 0 && p.Bits() <= on.Bits() && p.Contains(on.Addr()) }
	routed := func(d Device) bool {
		return slices.ContainsFunc(c.Way.Destinations, func(x Destination) bool { return x.Device.Name == d.Name && holds(x.Prefix) })
	}
	return slices.DeleteFunc(slices.Clone(c.Way.Devices), func(d Device) bool {
		return !slices.ContainsFunc(d.Addresses, holds) && !routed(d)
	})
}

// staticShared is the effect of a static rule for such a prefix.
const staticShared = "the static rule answers for the addresses of other stations of the link as well"

// sharedPrefix tells of one such prefix, and of the rules that answer nevertheless.
func (c *collector) sharedPrefix(on netip.Prefix, devices []Device) {
	r, ok := c.covering(on)
	if !ok {
		return
	}
	var asked, others []string // by whether their neighbors can be asked
	for _, d := range devices {
		if d.Neighbors {
			asked = append(asked, d.Name)
		} else {
			others = append(others, d.Name)
		}
	}
	back := c.judge(&r).LeadsBack(on)
	named := r.Method == rules.Probe && len(r.Devices) > 0
	problem := fmt.Sprintf("%s is on-link at %s and at %s as well", on, c.name, names(devices))
	if len(asked) == 0 {
		routes := "ip -6 route add ADDRESS/128 dev " + others[0] + " for each address that is behind it, or route a part of the prefix there"
		switch {
		case named:
		case r.Method == rules.Static:
			c.warn(reasonShared, staticShared+", which cannot be told from those behind "+names(devices), `set "method: route" for the rule, and `+routes, "%s", problem)
		default:
			c.warn(reasonShared, "nothing is answered for addresses behind "+names(devices)+" that have no more specific route: the prefix does not tell which they are, and they cannot be asked for there", routes, "%s", problem)
		}
		return
	}
	cure := r
	cure.Method, cure.Devices, cure.Autowire, cure.IgnoreOwn = rules.Probe, asked, back, false
	switch {
	case named && (!back || r.Autowire):
		return
	case named:
		c.warn(reasonShared, "packets for what answers there are drawn here, and the kernel routes them back out of "+c.name, `set "autowire: true" for the rule, which keeps a host route to each address that has answered`, "%s, and the kernel prefers the route to %s", problem, c.name)
	case r.Method == rules.Static:
		c.warn(reasonShared, staticShared, "use this configuration, which answers for what lives behind "+strings.Join(asked, ", ")+" only", "%s", problem)
	case back:
		c.warn(reasonShared, "nothing is answered for addresses behind "+strings.Join(asked, ", ")+": the kernel routes packets for them back out of "+c.name, "use this configuration, which asks for addresses there and keeps a host route to each that has answered", "%s, and the kernel prefers the route to %s", problem, c.name)
	default:
		c.warn(reasonShared, "the route does not tell where an address is, so each is asked for behind "+strings.Join(asked, ", ")+" and on the link, and answered for when it answers there only; this node itself reaches no station of the link by that prefix", "use this configuration, which says that this is intended; better, give "+asked[0]+" a part of the prefix, as a /80", "%s", problem)
	}
	c.found[len(c.found)-1].Config = c.configWith(cure)
}

// covering returns the rule that answers for most of an on-link prefix: one that covers
// it.
func (c *collector) covering(on netip.Prefix) (best rules.Rule, ok bool) {
	for _, r := range c.answering() {
		covers := r.Prefix.Bits() <= on.Bits() && r.Prefix.Contains(on.Addr())
		if covers && (!ok || r.Prefix.Bits() > best.Prefix.Bits()) {
			best, ok = r, true
		}
	}
	if best.Method != rules.Static && best.Method != rules.Route && best.Method != rules.Probe {
		return rules.Rule{}, false
	}
	return best, ok
}

// drawnBack looks for static rules that answer for a whole on-link prefix although only
// a part of it is behind the node: [collector.nowhere] tells of those without any.
func (c *collector) drawnBack() {
	var back []netip.Prefix
	for _, on := range c.OnLink {
		r, ok := c.covering(on)
		if ok && r.Method == rules.Static && len(c.sharing(on)) == 0 && c.judge(&r).LeadsBack(on) && c.judge(&r).LeadsBehind(r.Prefix) {
			back = append(back, on)
		}
	}
	if len(back) == 0 {
		return
	}
	c.inform(reasonShared, "packets for addresses that are not behind this node are drawn here, and the kernel routes them back out of "+c.name, `set "method: route" for the rule, which answers for what is behind this node only`,
		"a static rule answers for every address of %s, which is the link's own prefix", list(back))
}

func names(devices []Device) string {
	var all []string
	for _, d := range devices {
		all = append(all, d.Name)
	}
	return strings.Join(all, " and ")
}

// configWith returns the configuration of the uplink with one of its rules replaced.
func (c *collector) configWith(cure rules.Rule) string {
	var b strings.Builder
	b.WriteString("version: 1\nuplinks:\n  - interface: \"" + c.name + "\"\nrules:\n")
	for _, r := range c.Rules {
		if r.Prefix == cure.Prefix {
			r = cure
		}
		prefix, method, _ := strings.Cut(r.String(), "=")
		b.WriteString("  - prefix: \"" + prefix + "\"\n    method: " + method + "\n")
		if len(r.Devices) > 0 {
			b.WriteString("    devices: [\"" + strings.Join(r.Devices, `", "`) + "\"]\n")
		}
		if r.Autowire {
			b.WriteString("    autowire: true\n")
		}
		if r.DAD != rules.DADAuto {
			b.WriteString("    dad: " + map[rules.DADPolicy]string{rules.DADDefend: "defend", rules.DADIgnore: "ignore"}[r.DAD] + "\n")
		}
		if r.IgnoreOwn {
			b.WriteString("    own_addresses: false\n")
		}
		if r.Targets != "" {
			b.WriteString("    targets: \"" + r.Targets + "\"\n")
		}
	}
	return b.String()
}
