// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"net/netip"
)

// rules looks for rules that no router asks for, for such that lead nowhere, and
// for none at all.
func (c *collector) rules() {
	answering := c.answering()
	if len(answering) == 0 && !c.waits() && (c.Forwards || !c.Discovered) { // else no_prefix or forwarding_off says it
		c.noRule()
	}
	var off, delivered []netip.Prefix
	for _, r := range answering {
		switch {
		case !c.isOffLink(r.Prefix):
		case c.judge(&r).LeadsBehind(r.Prefix): // the provider may deliver it all the same
			delivered = append(delivered, r.Prefix)
		default:
			off = append(off, r.Prefix)
		}
	}
	if len(off) > 0 {
		c.warn(reasonOnLink, "a router solicits only addresses that it takes to be on its link", "ask the provider which prefix is on-link, or have the prefix routed to this node instead",
			"%s has no address and no on-link route in %s", c.name, list(off))
	}
	c.nowhere()
	c.named()
	if len(delivered) > 0 {
		c.inform(reasonOnLink, "a router solicits only addresses that it takes to be on its link", `nothing has to be done if "ndproxyd watch" shows solicitations for them; without any the prefix is routed to this node, and needs no rule`,
			"%s has no address and no on-link route in %s", c.name, list(delivered))
	}
}

// noRule tells of an uplink without rules, and of those that would answer.
func (c *collector) noRule() {
	effect, remedy := "nothing is answered on "+c.name, "add rules to the configuration that hold on "+c.name
	switch s := c.Suggested; {
	case c.Gap == "":
	case s.IsZero():
		remedy = "no other prefix is routed behind this node yet: route one to the device of your containers or tunnels, and check again; or add rules to the configuration"
	default:
		remedy = "if the provider delivers what is behind this node on the link (" + s.Text() + "): use this configuration, or " + s.Flags()
	}
	c.warn(reasonNoRules, effect, remedy, "%s", c.noRules())
	c.found[len(c.found)-1].Config = c.Suggested.YAML()
}

// noRules says why no rule can lead to an answer on the uplink.
func (c *collector) noRules() string {
	switch {
	case len(c.Rules) > 0:
		return "all rules that hold on " + c.name + " are deny rules"
	case c.Gap != "":
		return c.Gap
	case c.Discovered:
		return "no rule was discovered for " + c.name
	}
	return "no rule of the configuration holds on " + c.name
}

// isOffLink reports whether a prefix is in none of the link's, as far as one of
// its kind, global or unique local (RFC 4193), is known.
func (c *collector) isOffLink(p netip.Prefix) bool {
	known := false
	for _, on := range c.OnLink {
		if on.Overlaps(p) {
			return false
		}
		known = known || on.Addr().IsPrivate() == p.Addr().IsPrivate()
	}
	return known
}

// joinable is the length from which on the multicast groups of a prefix are
// joined one by one.
const joinable = 120
