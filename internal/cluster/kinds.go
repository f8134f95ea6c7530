// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// kindRule is what a rule of the store takes of service addresses.
type kindRule struct {
	prefix netip.Prefix
	kinds  rules.ServiceKinds
}

// kindRules returns what the rules of the store take of service addresses. Whether one is
// about cluster IPs is decided by what is known of the cluster now; the rules of the store
// follow a moment later.
func (c *cluster) kindRules() []kindRule {
	table := c.manager.store.Load()
	if table == nil { // before the first configuration
		return nil
	}
	ranges := c.ranges()
	var out []kindRule
	for _, r := range table.Rules() {
		if !r.TakesServices() {
			continue
		}
		k := kindRule{r.Prefix, r.Kinds}
		if r.KindsByRange && discover.IsServiceRange(r.Prefix, ranges) {
			k.kinds |= rules.ClusterIPs
		}
		out = append(out, k)
	}
	return out
}

// ranges returns what the cluster allocates cluster IPs from. Where nobody can tell, it is
// each rule that is around the cluster IP of the service kubernetes, which every cluster
// has, and that is longer than the on-link prefixes of the uplinks, so that it is
// about something in particular.
func (c *cluster) ranges() []netip.Prefix {
	table := c.manager.store.Load()
	if len(c.cidrs) > 0 || !c.cidrsUnknown || !c.kubernetes.IsValid() || table == nil {
		return c.cidrs
	}
	var out []netip.Prefix
	for _, r := range table.Rules() {
		if r.KindsByRange && r.Prefix.Contains(c.kubernetes) && !c.coversLink(r.Prefix) {
			out = append(out, r.Prefix)
		}
	}
	return out
}

// coversLink reports whether a prefix has all of an on-link prefix of an uplink.
func (c *cluster) coversLink(p netip.Prefix) bool {
	return slices.ContainsFunc(c.manager.links, func(l Link) bool {
		return slices.ContainsFunc(l.OnLink, func(on netip.Prefix) bool { return discover.IsServiceRange(on, []netip.Prefix{p}) })
	})
}

// takes reports whether a rule is for an address of some kinds. One that no rule covers
// is taken, too: the rules may be others on other nodes.
func (c *cluster) takes(a netip.Addr, kinds rules.ServiceKinds) bool {
	covered := false
	for _, r := range c.taken {
		if r.prefix.Contains(a) {
			if covered = true; r.kinds.Has(kinds) {
				return true
			}
		}
	}
	return !covered
}

// kindsChanged looks at the rules anew, and hands the addresses to the election, or takes
// them back, of which the rules now take the kind, or no longer do.
func (c *cluster) kindsChanged() {
	was, ranges := c.taken, c.ranges()
	if !slices.Equal(ranges, c.told) {
		c.told = ranges
		c.manager.outbox.changed()
	}
	if c.taken = c.kindRules(); slices.Equal(was, c.taken) {
		return
	}
	c.outside = slices.AppendSeq(c.outside, maps.Keys(c.services))
	c.decideAll()
}

// outsideEntries returns the entries of addresses that have no part in the election: of
// those that are gone, and of those that no rule is for, whose entry says of which kind
// they are. It goes by what holds now: what was outside a moment ago may be ours.
func (c *cluster) outsideEntries(now time.Time) (entries []rules.EntryChange) {
	for _, a := range c.outside {
		switch s, ok := c.services[a]; {
		case !ok:
			entries = append(entries, rules.EntryChange{Entry: rules.Entry{Prefix: single(a)}, Gone: true})
		case !c.takes(a, kindsOf(s)):
			entries = append(entries, rules.EntryChange{Entry: c.entry(a, now)})
		}
	}
	c.outside = nil
	return entries
}

// setKinds brings the entry of an address up to date whose kinds have changed.
func (c *cluster) setKinds(s k8swatch.AddressChange) {
	if e, ok := c.manager.store.Entry(rules.ServiceAddresses, s.Address); ok && (e.Kinds != kindsOf(s) || e.Chosen != isChosen(s)) {
		e.Kinds, e.Chosen = kindsOf(s), isChosen(s)
		c.manager.store.Update(rules.ServiceAddresses, []rules.EntryChange{{Entry: e}})
	}
}

// isChosen reports whether no range of the cluster vouches for an address.
func isChosen(s k8swatch.AddressChange) bool { return s.Kind != k8swatch.ClusterIP }

// kindsOf returns what a service address is.
func kindsOf(s k8swatch.AddressChange) rules.ServiceKinds {
	kinds, _ := rules.ParseServiceKind(string(s.Kind)) // the names are the same
	for _, k := range s.More {
		more, _ := rules.ParseServiceKind(string(k))
		kinds |= more
	}
	return kinds
}

// kindCounts counts the service addresses by what they are.
func (c *cluster) kindCounts() []status.KindCount {
	counts := make(map[rules.ServiceKinds]*status.KindCount)
	for a, s := range c.services {
		kinds := kindsOf(s)
		n := counts[kinds]
		if n == nil {
			n = &status.KindCount{Kind: kinds.String()}
			counts[kinds] = n
		}
		n.Known++
		if owner, _ := c.election.Owner(a); owner == c.config.Node {
			n.Answered++
		}
	}
	var out []status.KindCount
	for _, kinds := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, *counts[kinds])
	}
	return out
}

// selectionFor returns which service addresses the rules of a configuration are about.
func selectionFor(cfg *config.Config) k8swatch.Selection {
	s := selectionOf(cfg.Kubernetes.Services)
	for i, name := range rules.ServiceKindNames() {
		kind := k8swatch.ServiceKind(name)
		if len(s.Kinds) > 0 && !slices.Contains(s.Kinds, kind) &&
			slices.ContainsFunc(cfg.Rules, func(r rules.Rule) bool { return r.Kinds&(1<<i) != 0 }) {
			s.Kinds = append(s.Kinds, kind)
		}
	}
	return s
}
