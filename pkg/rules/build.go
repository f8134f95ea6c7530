// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// bulk is the number of changes from which on a view is copied as a whole and
// then changed in place; below it only the changed paths are copied.
const bulk = 1024

// builder makes the views of one uplink, one after the other.
type builder struct {
	uplink string
	rules  bart.Table[int32]      // indices of the rules that hold here
	guards map[netip.Addr]Silence // addresses that no rule may answer for
	view   *View                  // the last one
}

// newBuilder sorts out the rules of an uplink. Two with the same prefix are an
// error, as neither is more specific.
func newBuilder(uplink string, rules []Rule) (*builder, error) {
	b := &builder{uplink: uplink}
	var hears []netip.Prefix
	for i, r := range rules {
		if !r.Covers(uplink) {
			continue
		}
		if other, ok := b.rules.Get(r.Prefix); ok {
			return nil, fmt.Errorf("compile rule %d (%s): rule %d has the same prefix", i, r, other)
		}
		b.rules.Insert(r.Prefix, int32(i))
		if r.Method != Deny {
			hears = append(hears, r.Prefix)
		}
	}
	b.view = &View{decisions: new(bart.Fast[*Verdict]), hears: outermost(hears)}
	return b, nil
}

// outermost sorts prefixes and leaves out those that another one covers.
func outermost(prefixes []netip.Prefix) []netip.Prefix {
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	var out []netip.Prefix
	for _, p := range prefixes {
		if len(out) == 0 || !out[len(out)-1].Contains(p.Addr()) {
			out = append(out, p)
		}
	}
	return out
}

// affected returns the prefixes whose verdict may change with an entry: its own,
// and those of the rules and of other sources' entries inside, for which it may
// be the most specific entry of its source. A service address depends on nothing
// but its own entry.
func (b *builder) affected(s *Store, source Source, p netip.Prefix, into []netip.Prefix) []netip.Prefix {
	into = append(into, p)
	if p.Bits() == p.Addr().BitLen() {
		return into
	}
	for r := range b.rules.Subnets(p) {
		if r != p {
			into = append(into, r)
		}
	}
	for other := range s.entries {
		if other := Source(other); other == source || other == ServiceAddresses {
			continue
		}
		for a := range s.entries[other].Subnets(p) {
			into = append(into, a)
		}
	}
	return into
}

// update makes the next view, and returns how it differs for the prefixes.
func (b *builder) update(s *Store, prefixes []netip.Prefix) []Delta {
	decisions, fresh := b.view.decisions, false
	if len(prefixes) > bulk {
		decisions, fresh = decisions.Clone(), true
	}
	var ds []Delta
	for _, p := range prefixes {
		var before, after Verdict
		old, was := decisions.Get(p)
		if was {
			before = *old
		}
		v, is := b.verdict(s, p)
		if is {
			after = v
		}
		if was == is && before == after {
			continue
		}
		switch {
		case is && fresh:
			decisions.Insert(p, s.intern(after))
		case is:
			decisions = decisions.InsertPersist(p, s.intern(after))
		case fresh:
			decisions.Delete(p)
		default:
			decisions = decisions.DeletePersist(p)
		}
		if !before.sameEffect(after) {
			ds = append(ds, Delta{Prefix: p, Before: before, After: after})
		}
	}
	if decisions != b.view.decisions {
		b.view = &View{decisions: decisions, hears: b.view.hears}
	}
	return ds
}

// maxInterned is how many verdicts are kept to be shared.
const maxInterned = 1 << 14

// intern returns one place for equal verdicts, of which there are few: a lookup
// then copies none, and the table is smaller.
func (s *Store) intern(v Verdict) *Verdict {
	if p, ok := s.interned[v]; ok {
		return p
	}
	if s.interned == nil || len(s.interned) >= maxInterned {
		s.interned = make(map[Verdict]*Verdict)
	}
	s.interned[v] = &v
	return &v
}

// verdict returns what holds for a prefix, and whether the table needs a line
// for it: a rule, an entry inside of a rule that asks for entries, or a guard.
func (b *builder) verdict(s *Store, p netip.Prefix) (Verdict, bool) {
	at, i, ok := b.rules.LookupPrefixLPM(p)
	if !ok {
		return Verdict{}, false
	}
	r := &s.rules[i]
	v := Verdict{Rule: i, IgnoreDAD: r.IgnoreDAD, Delay: r.Delay}
	needed := at == p
	switch {
	case r.Method == Static:
		v.Answer = true
	case r.Method == Deny:
		v.Silence = Denied
	case r.Method == Services:
		e, ok := s.entries[ServiceAddresses].Get(p)
		needed = needed || ok
		switch {
		case !ok:
			v.Silence = NotAllocated
		case !e.behind:
			v.Silence = NotOwner
		default:
			v.Answer = true
		}
	case r.Method == Node || r.Method == Pods:
		var known bool
		v.Answer, known, v.Device = s.local(r, p)
		needed = needed || known
		if !v.Answer {
			v.Silence = NotLocal
		}
	case len(r.Devices) > 0:
		v.Probe = true
	default:
		found, e, ok := s.routeFor(r, p)
		needed = needed || ok && found == p
		if !ok || !e.behind {
			v.Silence = NoRoute
			break
		}
		v.Device = e.device
		v.Probe = r.Method == Probe && e.neighbor
		v.Answer = !v.Probe
	}
	if !p.IsSingleIP() {
		return v, needed
	}
	if e, ok := s.entries[Probed].Get(p); ok && v.Probe && s.askedOn(r, v.Device, e.device) {
		v.Answer, v.Probe, v.Learned, v.Part = true, false, true, !needed
		v.Device, needed = e.device, true
	}
	if silence, ok := b.guards[p.Addr()]; ok {
		v, needed = Verdict{Rule: i, Silence: silence}, true
	}
	return v, needed
}

// routeFor returns the kernel's most specific route for a prefix, and false where
// there is none that counts for the rule.
func (s *Store) routeFor(r *Rule, p netip.Prefix) (at netip.Prefix, e fact, ok bool) {
	at, e, ok = s.entries[Kernel].LookupPrefixLPM(p)
	return at, e, ok && (!r.Specific || at.Bits() > r.Prefix.Bits())
}

// local reports whether a prefix is this node's by what the cluster says, and
// whether an entry is about the very prefix. The kernel may know better: an
// address has moved when its route leads elsewhere, and may have a route before
// the cluster hears of it.
func (s *Store) local(r *Rule, p netip.Prefix) (is, known bool, device int32) {
	given := -1 // the length of the prefix that the node was given
	if r.Method == Node {
		if at, _, ok := s.entries[NodePrefixes].LookupPrefixLPM(p); ok {
			given, is, known = at.Bits(), true, at == p
		}
	}
	if _, ok := s.entries[PodAddresses].Get(p); ok {
		is, known = true, true
	}
	at, route, ok := s.routeFor(r, p)
	switch {
	case !ok, at.Bits() <= given, given < 0 && at != p: // it says nothing of this node's part
		return is, known, 0
	case !route.behind:
		return false, known || is && at == p, 0
	case at == p && p.IsSingleIP() && route.neighbor:
		return true, true, route.device
	case !is:
		return false, known, 0
	}
	return true, known || at == p, route.device
}

// askedOn reports whether a rule asks for its targets on a device: the one that
// the route leads to, or one of those that the rule names.
func (s *Store) askedOn(r *Rule, routed, device int32) bool {
	if len(r.Devices) == 0 {
		return routed == device
	}
	return slices.ContainsFunc(r.Devices, func(name string) bool { return s.resolve != nil && s.resolve(name) == device })
}

// all returns every prefix that may need a line.
func (b *builder) all(s *Store) []netip.Prefix {
	var ps []netip.Prefix
	for r, i := range b.rules.All() {
		ps = append(ps, r)
		for _, src := range s.rules[i].Method.sources() {
			for p := range s.entries[src].Subnets(r) {
				ps = append(ps, p)
			}
		}
	}
	for a := range b.guards {
		ps = append(ps, netip.PrefixFrom(a, a.BitLen()))
	}
	return ps
}
