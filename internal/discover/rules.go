// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Rules returns the rules that are in force: those of the configuration, or else
// the discovered ones. serviceCIDRs are what the cluster allocates service
// addresses from, empty without a cluster.
//
// There is one discovered rule for each on-link prefix of an uplink that the node
// forwards from, because these are the prefixes that a router sends solicitations
// for. [Gaps] tells which uplinks get none. In a cluster it is for the node's pods, and for
// the service addresses that somebody wants to be reached from outside; what the
// cluster allocates service addresses from gets rules where it overlaps such a prefix.
// From others there is one for each prefix
// in which the host itself has addresses, which counts nothing else.
//
// A rule of the configuration with a template is replaced by one rule for each prefix
// and uplink that it stands for, see [Expand].
func Rules(c *config.Config, uplinks []Uplink, serviceCIDRs []netip.Prefix) []rules.Rule {
	rs := expanded(c, uplinks)
	if c.DiscoverRules {
		rs = discovered(c, uplinks, serviceCIDRs)
	}
	rs = withKinds(c, rs, serviceCIDRs)
	if k := c.Kubernetes; k != nil && k.Ownership == rules.OwnershipAnycast {
		rs = withAnycastDelay(rs)
	}
	return rs
}

func discovered(c *config.Config, uplinks []Uplink, serviceCIDRs []netip.Prefix) []rules.Rule {
	var rs []rules.Rule
	method, kinds, cluster := rules.Route, rules.ServiceKinds(0), c.Kubernetes != nil
	if cluster {
		method, kinds = rules.Pods, podKinds(c)
		rs = serviceRules(uplinks, serviceCIDRs)
	}
	for _, u := range uplinks {
		for _, p := range u.prefixes() {
			if !cluster || !slices.Contains(serviceCIDRs, p) {
				rs = append(rs, rules.Rule{Prefix: p, Method: method, Kinds: kinds, Uplinks: []string{u.Interface}})
			}
		}
		if u.blocked() && !cluster { // the host itself takes packets all the same
			for _, p := range u.Own {
				rs = append(rs, rules.Rule{Prefix: p, Method: method, Uplinks: []string{u.Interface}, OwnOnly: true})
			}
		}
	}
	return rs
}

// podKinds returns which service addresses discovered rules for pods answer for. With
// anycast it is none: their answers are delayed, and those for pods are not.
func podKinds(c *config.Config) rules.ServiceKinds {
	switch given := kindsOf(c); {
	case c.Kubernetes.Ownership == rules.OwnershipAnycast:
		return 0
	case given != 0:
		return given
	}
	return rules.Exposed
}

// serviceRules returns the rules for service addresses, for what overlaps an on-link
// prefix of an uplink: elsewhere nobody asks, or a route leads to the node. They name the
// uplinks that they hold on only where these are not all of them.
func serviceRules(uplinks []Uplink, serviceCIDRs []netip.Prefix) []rules.Rule {
	var rs []rules.Rule
	for _, p := range serviceCIDRs {
		var names []string
		for _, u := range uplinks {
			if slices.ContainsFunc(u.prefixes(), p.Overlaps) {
				names = append(names, u.Interface)
			}
		}
		switch len(names) {
		case 0:
			continue
		case len(uplinks):
			names = nil
		}
		rs = append(rs, rules.Rule{Prefix: p, Method: rules.Services, Uplinks: names})
	}
	return rs
}

// withAnycastDelay gives rules for services the random delay that goes with
// several nodes answering for one address (RFC 4861 §7.2.7, §7.2.8), unless they
// have one.
func withAnycastDelay(rs []rules.Rule) []rules.Rule {
	out := slices.Clone(rs)
	for i := range out {
		if out[i].Method == rules.Services && out[i].Delay == 0 {
			out[i].Delay = rules.MaxDelay
		}
	}
	return out
}

// blocked reports whether what arrives on the uplink is not forwarded. Nothing is
// known of an interface that does not exist yet.
func (u Uplink) blocked() bool { return u.Link.Index != 0 && !u.Forwards }

// prefixes returns what rules are discovered for on the uplink.
func (u Uplink) prefixes() []netip.Prefix {
	if u.Link.Index == 0 || u.blocked() {
		return nil
	}
	return rules.OnLink(u.Link, u.OnLinkRoutes)
}

// Gap is an uplink for which no rule could be discovered.
type Gap struct {
	Interface string
	// Why is one sentence, without a full stop.
	Why string
}

// Gaps returns the uplinks that [Rules] discovers no on-link rule for, with the
// reason. It returns nothing where the configuration has rules, and leaves out
// interfaces that do not exist: their state tells.
func Gaps(c *config.Config, uplinks []Uplink) []Gap {
	if !c.DiscoverRules {
		return nil
	}
	var gaps []Gap
	for _, u := range uplinks {
		switch {
		case u.Link.Index == 0:
		case u.blocked() && len(u.Own) > 0:
			gaps = append(gaps, Gap{u.Interface, "only what this host itself has is answered for on " + u.Interface + ", because the node does not forward IPv6 packets that arrive there"})
		case u.blocked():
			gaps = append(gaps, Gap{u.Interface, "rules are not discovered for " + u.Interface + " because the node does not forward IPv6 packets that arrive there"})
		case len(u.prefixes()) == 0:
			gaps = append(gaps, Gap{u.Interface, "rules cannot be discovered for " + u.Interface + " because it has no global on-link prefix: its global addresses, if any, are single ones (/128)"})
		}
	}
	return gaps
}

// SameRule reports whether two rules are the same in everything that a rule can
// say. Publishing rules that are the same changes nothing.
func SameRule(a, b rules.Rule) bool {
	return a.Prefix == b.Prefix && a.Template == b.Template && a.While == b.While && a.Waiting == b.Waiting && a.Method == b.Method && slices.Equal(a.Uplinks, b.Uplinks) &&
		a.Delay == b.Delay && slices.Equal(a.Devices, b.Devices) && a.Timing == b.Timing && a.Targets == b.Targets &&
		a.Autowire == b.Autowire && a.Table == b.Table && a.DAD == b.DAD && a.IgnoreOwn == b.IgnoreOwn && a.OwnOnly == b.OwnOnly &&
		a.Kinds == b.Kinds && a.KindsByRange == b.KindsByRange
}
