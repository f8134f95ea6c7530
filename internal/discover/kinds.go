// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// withKinds sets which service addresses each rule for services answers for, unless the
// rule says so itself: the kinds that the configuration has for all of them, or those that
// somebody wants to be reached from outside. Cluster IPs are among the latter where a
// rule of the configuration lies inside of what they are allocated from, so that it is
// about nothing else.
func withKinds(c *config.Config, rs []rules.Rule, serviceCIDRs []netip.Prefix) []rules.Rule {
	given := kindsOf(c)
	out := slices.Clone(rs)
	for i := range out {
		r := &out[i]
		switch {
		case r.Method != rules.Services || r.Kinds != 0:
		case given != 0:
			r.Kinds = given
		default:
			r.Kinds, r.KindsByRange = rules.Exposed, !c.DiscoverRules
			if r.KindsByRange && IsServiceRange(r.Prefix, serviceCIDRs) {
				r.Kinds |= rules.ClusterIPs
			}
		}
	}
	return out
}

// kindsOf returns the kinds that the configuration has for rules that name none, 0 where
// it has none.
func kindsOf(c *config.Config) (kinds rules.ServiceKinds) {
	if c.Kubernetes == nil {
		return 0
	}
	for _, name := range c.Kubernetes.Services.Kinds {
		kind, _ := rules.ParseServiceKind(name) // it was checked when it was read
		kinds |= kind
	}
	return kinds
}

// IsServiceRange reports whether a prefix lies inside of one of the prefixes that the
// cluster allocates cluster IPs from.
func IsServiceRange(p netip.Prefix, serviceCIDRs []netip.Prefix) bool {
	return slices.ContainsFunc(serviceCIDRs, func(cidr netip.Prefix) bool { return covers(cidr, p) })
}
