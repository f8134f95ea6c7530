// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// discoverUplinks returns the uplinks of the configuration, or else those with a
// default route. While there is none the last ones stay: they may be down.
func (s *supervisor) discoverUplinks() []rules.Uplink {
	if len(s.config.Uplinks) > 0 {
		return s.present(slices.Clone(s.config.Uplinks))
	}
	var names []string
	for _, d := range s.routes.DefaultDevices() {
		if d.Neighbors {
			names = append(names, d.Name)
		}
	}
	if len(names) == 0 {
		for _, u := range s.uplinks {
			names = append(names, u.config.Interface)
		}
	}
	slices.Sort(names)
	uplinks := make([]rules.Uplink, len(names))
	for i, name := range names {
		uplinks[i].Interface = name
	}
	return s.present(uplinks)
}

// present lets other announcers see on the uplinks that we are alive.
func (s *supervisor) present(uplinks []rules.Uplink) []rules.Uplink {
	if c := s.cluster; c != nil && c.needs.Leases && c.election.TakesPart() {
		for i := range uplinks {
			uplinks[i].Presence = rules.Presence(c.config.Node)
		}
	}
	return uplinks
}

// effectiveRules returns the rules that hold.
func (s *supervisor) effectiveRules() []rules.Rule {
	rs := s.discoverRules()
	if k := s.config.Kubernetes; k != nil && k.Ownership == rules.OwnershipAnycast {
		rs = withAnycast(rs)
	}
	return rs
}

// discoverRules returns the rules of the configuration, or else one for each
// global on-link prefix of an uplink: the provider's router asks for these. With
// a cluster they are for its pods, and its services have rules of their own.
func (s *supervisor) discoverRules() []rules.Rule {
	if !s.config.DiscoverRules {
		return s.config.Rules
	}
	var rs []rules.Rule
	for _, u := range s.uplinks {
		for _, p := range u.onLink(s.routes.HopsOf(u.link.Index).OnLink) {
			rs = append(rs, rules.Rule{Prefix: p, Method: rules.Route, Uplinks: []string{u.config.Interface}})
		}
	}
	if s.config.Kubernetes != nil {
		return s.clusterRules(rs)
	}
	return rs
}

// onLink returns the prefixes whose addresses a router on the uplink expects
// there: those of the uplink's addresses, and of its routes without next hop.
func (u *uplink) onLink(routed []netip.Prefix) []netip.Prefix {
	all := slices.Clone(routed)
	for _, a := range u.link.Addresses {
		if a.Prefix.Bits() < 128 && !a.Prefix.Addr().IsLinkLocalUnicast() {
			all = append(all, a.Prefix.Masked())
		}
	}
	all = slices.DeleteFunc(all, func(p netip.Prefix) bool { return rules.CheckPrefix(p) != nil })
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// sameRule compares rules, of which the discovered ones have but these fields.
func sameRule(a, b rules.Rule) bool {
	return a.Prefix == b.Prefix && a.Method == b.Method && slices.Equal(a.Uplinks, b.Uplinks) &&
		slices.Equal(a.Devices, b.Devices) && a.Timing == b.Timing && a.Autowire == b.Autowire && a.Delay == b.Delay && a.IgnoreDAD == b.IgnoreDAD
}
