// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Suggestion is a configuration that answers for what discovery leaves alone. It is
// never put in force: whether the provider delivers a prefix on the link, so that a
// router asks for its addresses, or routes it to the host, cannot be seen from here.
type Suggestion struct {
	// Uplinks are named where discovery does not find them.
	Uplinks []string
	// Rules are none where the discovered ones are enough.
	Rules []rules.Rule
	// Routes are what the rules cover beyond the discovered ones.
	Routes []Route
}

// minDelegated is the shortest prefix that a host is given.
const minDelegated = 32

// Suggest returns a configuration that answers for what is routed behind the host and
// covered by no discovered rule. It is the zero Suggestion where there is nothing to
// add, where the configuration has rules, and in a cluster, whose addresses are
// discovered otherwise.
func Suggest(c *config.Config, o Overview) Suggestion {
	switch {
	case c.Kubernetes != nil || len(c.Rules) > 0:
		return Suggestion{}
	case len(o.Uplinks) == 0:
		return o.suggestUplinks()
	}
	var s Suggestion
	var onLink []netip.Prefix
	for _, u := range c.Uplinks {
		s.Uplinks = append(s.Uplinks, u.Interface)
	}
	for _, u := range o.Uplinks {
		onLink = append(onLink, rules.OnLink(u.Link, u.OnLinkRoutes)...)
	}
	for _, r := range outermost(o.Routes) {
		if isDelegated(r.Prefix) && !slices.ContainsFunc(onLink, func(p netip.Prefix) bool { return covers(p, r.Prefix) }) {
			s.Routes = append(s.Routes, r)
		}
	}
	if len(s.Routes) == 0 && (c.DiscoverRules || len(onLink) == 0) {
		return Suggestion{}
	}
	if len(onLink) > 0 { // rules that are written take the place of discovered ones
		all, _ := rules.ParseTemplate(templateWord)
		s.Rules = append(s.Rules, rules.Rule{Template: all, Method: rules.Route})
	}
	for _, r := range s.Routes {
		s.Rules = append(s.Rules, r.Rule())
	}
	return s
}

// templateWord is the template that stands for what rules are discovered for.
const templateWord = "uplink"

// suggestUplinks names the Ethernet devices with an on-link prefix of which another
// device has a part: stations there ask for it, whoever routes packets to the host.
func (o Overview) suggestUplinks() Suggestion {
	var s Suggestion
	for _, d := range o.Devices {
		if !d.Ethernet {
			continue
		}
		parts := outermost(slices.DeleteFunc(slices.Clone(o.Routes), func(r Route) bool {
			return r.Device == d.Name || !slices.ContainsFunc(d.OnLink, func(p netip.Prefix) bool { return p != r.Prefix && covers(p, r.Prefix) })
		}))
		if len(parts) > 0 {
			s.Uplinks = append(s.Uplinks, d.Name)
			s.Routes = append(s.Routes, parts...)
		}
	}
	return s
}

// Rule returns the rule that answers for the route. What can be asked for is asked:
// the addresses of a prefix that nobody behind has may be somebody's on the link.
func (r Route) Rule() rules.Rule {
	if r.Neighbor && !r.Host && !r.Prefix.IsSingleIP() {
		return rules.Rule{Prefix: r.Prefix, Method: rules.Probe}
	}
	return rules.Rule{Prefix: r.Prefix, Method: rules.Route}
}

// isDelegated reports whether a provider may have given a prefix to a host: it is in
// 2000::/3, the range that global addresses are assigned from (RFC 3587 §3).
func isDelegated(p netip.Prefix) bool {
	return p.Addr().As16()[0]>>5 == 1 && p.Bits() >= minDelegated
}

// covers reports whether a prefix has all addresses of another.
func covers(p, q netip.Prefix) bool { return p.Bits() <= q.Bits() && p.Contains(q.Addr()) }

// IsZero reports whether there is nothing to suggest.
func (s Suggestion) IsZero() bool { return len(s.Uplinks) == 0 && len(s.Rules) == 0 }

// YAML returns the configuration as a file, "" where there is nothing to suggest.
func (s Suggestion) YAML() string {
	if s.IsZero() {
		return ""
	}
	var b strings.Builder
	b.WriteString("version: 1\n")
	if len(s.Uplinks) > 0 {
		b.WriteString("uplinks:\n")
	}
	for _, u := range s.Uplinks {
		b.WriteString("  - interface: \"" + u + "\"\n")
	}
	if len(s.Rules) > 0 {
		b.WriteString("rules:\n")
	}
	for _, r := range s.Rules {
		prefix, method, _ := strings.Cut(r.String(), "=")
		b.WriteString("  - prefix: \"" + prefix + "\"\n    method: " + method + "\n")
	}
	return b.String()
}

// Flags returns the same as flags of the command line.
func (s Suggestion) Flags() string {
	var words []string
	for _, u := range s.Uplinks {
		words = append(words, "--interface "+u)
	}
	for _, r := range s.Rules {
		words = append(words, "--rule "+r.String())
	}
	return strings.Join(words, " ")
}

// Text lists the routes that the rules are for.
func (s Suggestion) Text() string {
	var words []string
	for i, r := range s.Routes {
		if i == shown {
			words = append(words, "and more")
			break
		}
		words = append(words, r.String())
	}
	return strings.Join(words, ", ")
}
