// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// RuleStates returns what the rules of a configuration come to that depend on the
// uplinks, or have conditions.
func RuleStates(c *config.Config, uplinks []discover.Uplink, conditions discover.Conditions) []status.RuleState {
	depends := func(r rules.Rule) bool { return !r.Template.IsZero() || !r.While.IsZero() }
	if !slices.ContainsFunc(c.Rules, depends) {
		return nil
	}
	states := make([]status.RuleState, len(c.Rules))
	for _, x := range discover.Expand(c, uplinks) {
		s := &states[x.Rule]
		for _, p := range x.Prefixes {
			s.Prefixes = append(s.Prefixes, status.RulePrefix{Interface: x.Interface, Prefix: p.Prefix, Deprecated: p.Deprecated, Other: p.Other})
		}
		if x.Why != "" {
			s.Waits = append(s.Waits, x.Why)
		}
	}
	for i, r := range c.Rules {
		if !depends(r) {
			continue
		}
		states[i].Index, states[i].Rule, states[i].While = i, r.String(), r.While.String()
		if unmet := conditions.Unmet(r.While); unmet != "" {
			states[i].Waits = append(states[i].Waits, unmet)
		}
		if !r.Template.IsZero() && len(states[i].Prefixes) == 0 && len(states[i].Waits) == 0 {
			states[i].Waits = []string{"there is no uplink yet that the rule holds on"}
		}
	}
	return slices.DeleteFunc(states, func(s status.RuleState) bool { return len(s.Lines()) == 0 })
}

// templates looks at rules that wait for a prefix of the uplink. That costs service
// where no other rule holds there.
func (c *collector) templates() {
	for _, x := range c.Templates {
		if x.Why == "" {
			continue
		}
		severity := Info
		if len(c.answering()) == 0 {
			severity = Warning
		}
		c.add(severity, reasonNoPrefix, "the rule answers for nothing on "+c.name+" until there is one",
			"nothing has to be done where a router advertisement or DHCPv6 is to bring a prefix; else give "+c.name+" an address in its prefix, or write the prefix into the rule",
			"the rule for "+x.Template.String()+" waits: "+x.Why)
	}
}

// waits reports whether a rule waits for a prefix of the uplink.
func (c *collector) waits() bool {
	return slices.ContainsFunc(c.Templates, func(x discover.Expansion) bool { return x.Why != "" })
}
