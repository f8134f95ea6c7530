// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"maps"
	"net/netip"
	"slices"
)

// OnLink returns the prefixes whose addresses a router on the link expects there:
// those of the interface's addresses, and those that the kernel routes to the
// interface without a next hop. They are sorted, each comes once, and none of
// them is link-local.
//
// The prefix of a deprecated address counts only while it is routed. The kernel keeps
// such an address for up to two hours after a router has withdrawn its prefix
// (RFC 4862 §5.5.3), and takes away only the route.
func OnLink(link Link, routed []netip.Prefix) []netip.Prefix {
	all := slices.Clone(routed)
	for _, a := range link.Addresses {
		if !a.Prefix.IsSingleIP() && !a.Deprecated {
			all = append(all, a.Prefix.Masked())
		}
	}
	all = slices.DeleteFunc(all, func(p netip.Prefix) bool { return CheckPrefix(p) != nil })
	return unique(all)
}

// SetOnLink makes prefixes the on-link prefixes of an uplink. Other stations of the
// link have addresses there, so what holds for a rule that covers such a prefix
// depends on them, see [DADAuto], and a route behind us that is no more specific says
// nothing about where a single address is, see [Verdict.Contested]. An uplink without
// any leaves nothing behind in the store.
func (s *Store) SetOnLink(uplink string, prefixes []netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.onLink[uplink]
	if slices.Equal(old, prefixes) {
		return
	}
	all := maps.Clone(s.onLink) // which tables have
	if all == nil {
		all = make(map[string][]netip.Prefix)
	}
	if all[uplink] = slices.Clone(prefixes); len(prefixes) == 0 {
		delete(all, uplink)
	}
	s.onLink = all
	if s.current.Load() == nil { // SetRules will use them
		return
	}
	b := s.builder(uplink)
	b.onLink = s.onLink[uplink]
	deltas := b.update(s, append(b.all(s), old...))
	s.release(uplink)
	s.publish(Change{deltas: map[string][]Delta{uplink: deltas}})
}

// builder returns the builder of an uplink, which it makes where the common view was
// enough until now.
func (s *Store) builder(uplink string) *builder {
	b := s.builders[uplink]
	if b == nil {
		b, _ = newBuilder(uplink, s.rules, s.domains) // SetRules has checked them
		b.view, b.probes = s.builders[""].view, s.builders[""].probes
		s.builders[uplink] = b
	}
	return b
}

// release forgets the builder of an uplink for which the common view is enough.
func (s *Store) release(uplink string) {
	if len(s.guards[uplink]) == 0 && len(s.onLink[uplink]) == 0 && !s.named(uplink) {
		delete(s.builders, uplink)
	}
}

// onLinkOf returns the on-link prefix of the uplink that covers p, the longest one of
// several; invalid for none.
func (b *builder) onLinkOf(p netip.Prefix) (longest netip.Prefix) {
	for _, on := range b.onLink {
		if on.Bits() <= p.Bits() && on.Contains(p.Addr()) && (!longest.IsValid() || on.Bits() > longest.Bits()) {
			longest = on
		}
	}
	return longest
}

// isWide reports whether a route is no more specific than the uplink's on-link prefix
// for the same addresses. It may come from an address of the same prefix, on a bridge
// or on a second interface of the link, and then says nothing about a single address.
func (q question) isWide(at netip.Prefix) bool {
	return q.onLink.IsValid() && at.Bits() <= q.onLink.Bits()
}

// isAmidLink reports whether the host has a single address among those of the uplink's
// link, and not in a part of the prefix that leads behind us. Another station may have
// it, too: a second interface of the host on the same link, or a load balancer whose
// address the host shares.
func (q question) isAmidLink(at netip.Prefix) bool {
	if !at.IsSingleIP() || !q.onLink.IsValid() {
		return false
	}
	for around := range q.routes.Supernets(at) {
		if around != at {
			return q.isWide(around)
		}
	}
	return true
}

// amidLink reports whether a prefix and an on-link one of the uplink have addresses in
// common.
func (b *builder) amidLink(p netip.Prefix) bool {
	return slices.ContainsFunc(b.onLink, p.Overlaps)
}

// setAside reports whether the rule is for a part of the on-link prefix only: then the
// operator has said that no other station of the link has an address there.
func (q question) setAside() bool { return q.rule.Prefix.Bits() > q.onLink.Bits() }

// contest makes of an answer by a wide route what it is worth: the target is asked for
// first, on the device and on the uplink's link. Where it cannot be asked for on the
// device, the route counts only for a rule that sets a part of the on-link prefix
// aside.
func (q question) contest(f *finding, e fact) {
	switch {
	case e.is(host), e.is(neighbor):
		f.answer, f.probe, f.contested, f.own = false, true, true, false
	case !q.setAside():
		f.answer, f.own, f.device, f.silence = false, false, 0, Shared
	}
}

// Links returns the names of the uplinks on whose links other stations may have the
// address, in order: those with an on-link prefix that covers it.
func (t *Table) Links(a netip.Addr) []string {
	var names []string
	for uplink, prefixes := range t.onLink {
		if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) }) {
			names = append(names, uplink)
		}
	}
	slices.Sort(names)
	return names
}

// SameOnLink reports whether two tables are of the same on-link prefixes; a nil table
// has none.
func (t *Table) SameOnLink(o *Table) bool {
	return maps.EqualFunc(t.links(), o.links(), slices.Equal[[]netip.Prefix])
}

func (t *Table) links() map[string][]netip.Prefix {
	if t == nil {
		return nil
	}
	return t.onLink
}
