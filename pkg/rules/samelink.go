// SPDX-License-Identifier: Apache-2.0

package rules

import "slices"

// ResolveLinks sets the function that reports whether a device of the host is on the
// link of the uplink of that name, and whether it is the uplink itself. The name "" is
// for any uplink, none of which is then on a link of another. Stations there
// answer solicitations themselves, so an answer of ours would be a second one. The
// store calls it under its mutex, so it must not wait, nor call the store. Without it
// no device is. Call it before anything else.
func (s *Store) ResolveLinks(f func(uplink string, device int32) (same, own bool)) { s.sameLink = f }

// onSameLink reports whether a device is on the link of the builder's uplink.
func (b *builder) onSameLink(s *Store, device int32) (same, own bool) {
	if s.sameLink == nil || device == 0 {
		return false, false
	}
	return s.sameLink(b.uplink, device)
}

// leaveSameLink makes silence of a finding where whoever has the address answers on the
// uplink itself: where a static rule, or a line of a file, covers what the kernel
// routes to a macvlan, an ipvlan or a bridge port on the uplink's link, and where all
// devices that a probe rule asks on are there. A route as wide as an on-link prefix of
// the uplink tells nothing of an address.
func (b *builder) leaveSameLink(q question, f finding) finding {
	switch s, r := q.store, q.rule; {
	case r.Method == Static, r.Method == File && f.answer:
		at, e, ok := q.routes.LookupPrefixLPM(q.prefix)
		if !ok || e.is(forwarded) || e.is(host) || b.coversOnLink(at) {
			return f
		}
		if same, own := b.onSameLink(s, e.device); same && !own {
			return finding{silence: SameLink, line: f.line || at == q.prefix}
		}
	case f.probe && len(r.Devices) > 0:
		all := !slices.ContainsFunc(r.Devices, func(name string) bool {
			same, _ := b.onSameLink(s, s.index(name))
			return !same
		})
		if all {
			return finding{silence: SameLink, line: f.line}
		}
	}
	return f
}
