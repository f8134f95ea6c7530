// SPDX-License-Identifier: Apache-2.0

package rules

import (
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
// depends on them, see [DADAuto]. An uplink without any leaves nothing behind in the
// store.
func (s *Store) SetOnLink(uplink string, prefixes []netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.onLink[uplink]
	if slices.Equal(old, prefixes) {
		return
	}
	if s.onLink == nil {
		s.onLink = make(map[string][]netip.Prefix)
	}
	if s.onLink[uplink] = slices.Clone(prefixes); len(prefixes) == 0 {
		delete(s.onLink, uplink)
	}
	if s.current.Load() == nil { // SetRules will use them
		return
	}
	b := s.builder(uplink)
	affected := append(b.all(s), old...)
	b.onLink = s.onLink[uplink]
	deltas := b.update(s, unique(append(affected, b.onLink...)))
	s.release(uplink)
	s.publish(Change{deltas: map[string][]Delta{uplink: deltas}})
}

// builder returns the builder of an uplink, which it makes where the common view was
// enough until now.
func (s *Store) builder(uplink string) *builder {
	b := s.builders[uplink]
	if b == nil {
		b, _ = newBuilder(uplink, s.rules, s.domains) // SetRules has checked them
		b.view = s.builders[""].view
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
