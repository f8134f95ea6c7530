// SPDX-License-Identifier: Apache-2.0

package rules

import "net/netip"

// DADPolicy chooses whether duplicate address detection of other stations is
// answered for the addresses of a rule (RFC 4862 §5.4). An answer keeps the station
// from taking the address as its own.
type DADPolicy uint8

// The policies.
const (
	// DADAuto ignores it where the rule covers an on-link prefix of the uplink: the
	// other stations of the link take their addresses from there. Addresses with
	// evidence of their own behind us, such as a host route, a probed target or a
	// pod, are defended all the same, but for service addresses that are [Entry.Chosen].
	// Elsewhere DADAuto defends.
	DADAuto DADPolicy = iota
	// DADDefend always answers.
	DADDefend
	// DADIgnore never answers.
	DADIgnore
)

// ignoresDAD reports whether duplicate address detection is left unanswered for the
// addresses of a rule that have no evidence of their own.
func (b *builder) ignoresDAD(r *Rule) bool {
	switch r.DAD {
	case DADDefend:
		return false
	case DADIgnore:
		return true
	case DADAuto:
	}
	return b.coversOnLink(r.Prefix)
}

// coversOnLink reports whether an on-link prefix of the uplink lies in p as a whole.
// A rule for a part of one does not cover it: that part was set aside on purpose.
func (b *builder) coversOnLink(p netip.Prefix) bool {
	for _, on := range b.onLink {
		if on.Bits() >= p.Bits() && p.Contains(on.Addr()) {
			return true
		}
	}
	return false
}
