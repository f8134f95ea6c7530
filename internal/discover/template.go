// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Expansion tells what the template of a rule stands for on one uplink.
type Expansion struct {
	// Rule is the index in [config.Config.Rules].
	Rule     int
	Template rules.Template
	// Interface is the uplink's.
	Interface string
	// Prefixes are in order, and each comes once.
	Prefixes []Expanded
	// Why tells in one sentence, without a full stop, why there are none.
	Why string
}

// Expanded is one prefix that a template stands for.
type Expanded struct {
	Prefix netip.Prefix
	// Deprecated is true where all addresses that the uplink has in its prefix are
	// deprecated: the prefix is about to go, and is answered for while it is valid
	// (RFC 4862 §5.5.4).
	Deprecated bool
	// Other is the rule of the configuration, as written, that has the very prefix
	// and goes before this one; "" for none.
	Other string
}

// Expand returns what the templates of the configuration stand for on each uplink.
func Expand(c *config.Config, uplinks []Uplink) []Expansion {
	var all []Expansion
	for _, u := range uplinks {
		// A prefix that is written goes before one that comes out of a template, and
		// of two templates the first.
		taken := make(map[netip.Prefix]string)
		for _, r := range c.Rules {
			if r.Template.IsZero() && r.Covers(u.Interface) {
				taken[r.Prefix] = r.String()
			}
		}
		for i, r := range c.Rules {
			if r.Template.IsZero() || !r.Covers(u.Interface) {
				continue
			}
			x := u.expand(r.Template)
			x.Rule = i
			for j, p := range x.Prefixes {
				if x.Prefixes[j].Other = taken[p.Prefix]; x.Prefixes[j].Other == "" {
					taken[p.Prefix] = r.String()
				}
			}
			all = append(all, x)
		}
	}
	slices.SortStableFunc(all, func(a, b Expansion) int { return cmp.Compare(a.Rule, b.Rule) })
	return all
}

// expand returns what a template stands for on the uplink.
func (u Uplink) expand(t rules.Template) Expansion {
	x := Expansion{Template: t, Interface: u.Interface}
	if u.Link.Index == 0 {
		x.Why = u.Interface + " does not exist yet"
		return x
	}
	deprecated := make(map[netip.Prefix]bool)
	short := false
	for _, p := range u.sources(t) {
		to := t.Resolve(p)
		if !to.IsValid() {
			short = true
			continue
		}
		if rules.CheckPrefix(to) != nil {
			continue
		}
		was, known := deprecated[to]
		deprecated[to] = u.deprecated(p) && (was || !known)
	}
	for p, d := range deprecated {
		x.Prefixes = append(x.Prefixes, Expanded{Prefix: p, Deprecated: d})
	}
	slices.SortFunc(x.Prefixes, func(a, b Expanded) int { return a.Prefix.Compare(b.Prefix) })
	switch {
	case len(x.Prefixes) > 0:
	case short:
		x.Why = fmt.Sprintf("the on-link prefixes of %s are shorter than /%d, and it has no address that tells which part of them is meant", u.Interface, t.Bits())
	case t.Bits() == 0 && slices.ContainsFunc(u.Link.Addresses, isSingle):
		x.Why = fmt.Sprintf("%s has no global on-link prefix, only single addresses (/128): the prefix of 64 bits around them is \"uplink/64\"", u.Interface)
	default:
		x.Why = u.Interface + " has no global address and no on-link prefix yet"
	}
	return x
}

// sources returns the prefixes that a template is resolved from: those that are
// on-link, or the uplink's addresses where these say more, because the on-link prefix
// is shorter than what the template takes, or there is none around a single address.
func (u Uplink) sources(t rules.Template) []netip.Prefix {
	onLink := rules.OnLink(u.Link, u.OnLinkRoutes)
	if t.Bits() == 0 {
		return onLink
	}
	from := slices.Clone(onLink)
	for _, a := range u.Link.Addresses {
		single := netip.PrefixFrom(a.Prefix.Addr(), a.Prefix.Addr().BitLen())
		longer := func(p netip.Prefix) bool { return p.Bits() >= t.Bits() && p.Contains(single.Addr()) }
		within := func(p netip.Prefix) bool { return p.Contains(single.Addr()) }
		if rules.CheckPrefix(single) == nil && !slices.ContainsFunc(onLink, longer) && (isSingle(a) || slices.ContainsFunc(onLink, within)) {
			from = append(from, single)
		}
	}
	return from
}

// isSingle reports whether an address is global and has no prefix.
func isSingle(a rules.LinkAddress) bool {
	return a.Prefix.IsSingleIP() && rules.CheckPrefix(a.Prefix) == nil
}

// deprecated reports whether the uplink has addresses in a prefix, all of which are
// deprecated. Of a prefix without an address no lifetime is known.
func (u Uplink) deprecated(p netip.Prefix) bool {
	has := false
	for _, a := range u.Link.Addresses {
		if p.Contains(a.Prefix.Addr()) {
			if !a.Deprecated {
				return false
			}
			has = true
		}
	}
	return has
}

// expanded returns the rules of the configuration with those that have a template
// replaced by what it stands for.
func expanded(c *config.Config, uplinks []Uplink) []rules.Rule {
	if !slices.ContainsFunc(c.Rules, func(r rules.Rule) bool { return !r.Template.IsZero() }) {
		return c.Rules
	}
	rs := Fixed(c.Rules)
	for _, x := range Expand(c, uplinks) {
		for _, p := range x.Prefixes {
			if p.Other == "" {
				r := c.Rules[x.Rule]
				r.Prefix, r.Uplinks = p.Prefix, []string{x.Interface}
				rs = append(rs, r)
			}
		}
	}
	return rs
}

// Fixed returns the rules that have a prefix and no template: those that are known to
// fit together before there is any uplink.
func Fixed(rs []rules.Rule) []rules.Rule {
	return slices.DeleteFunc(slices.Clone(rs), func(r rules.Rule) bool { return !r.Template.IsZero() })
}

// Written returns the index in the configuration of the rule that a rule in force
// comes from, and -1 for one that was discovered.
func Written(c *config.Config, r rules.Rule) int {
	return slices.IndexFunc(c.Rules, func(w rules.Rule) bool {
		if !r.Template.IsZero() {
			return w.Template == r.Template && w.Covers(r.Uplinks[0])
		}
		return w.Template.IsZero() && w.Prefix == r.Prefix && slices.Equal(w.Uplinks, r.Uplinks)
	})
}
