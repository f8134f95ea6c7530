// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// A large update copies the whole trie and changes the copy in place. For a small one, copying
// only the paths of what changes is cheaper, and leaves the rest to be shared with the trie that
// it was made from.
const (
	// bulkPart has an update be large that changes more than one line of a view in 512: a path
	// takes as long as some 300 to 600 lines, and more memory.
	bulkPart = 512
	// askedPart has one be large that changes a line, and decides on more than one prefix for each
	// 64 lines of a view: the copy takes no longer than the decisions.
	askedPart = 64
)

// builder makes the views of one uplink, one after the other.
type builder struct {
	uplink string
	rules  bart.Table[int32]      // indices of the rules that hold here
	guards map[netip.Addr]Silence // addresses that no rule may answer for
	onLink []netip.Prefix         // of the uplink
	probes int                    // lines of the view whose targets are asked first
	view   *View                  // the latest one

	domain  Domain   // of the uplink
	domains []Domain // of its rules, each once

	methods [methodEnd]method
	sources [sourceCount]source
}

// newBuilder selects the rules that hold on an uplink. Two rules with the same
// prefix are an error, because neither is more specific.
func newBuilder(uplink string, rules []Rule, domains Domains) (*builder, error) {
	b := &builder{uplink: uplink, methods: methods(), sources: sources(), domain: domains.Uplinks[uplink]}
	var hears []netip.Prefix
	for i, r := range rules {
		if !r.Covers(uplink) {
			continue
		}
		if other, ok := b.rules.Get(r.Prefix); ok {
			return nil, fmt.Errorf("compile rule %d (%s): rule %d has the same prefix", i, r, other)
		}
		b.rules.Insert(r.Prefix, int32(i))
		if d := domains.of(b.domain, &r); !slices.Contains(b.domains, d) {
			b.domains = append(b.domains, d)
		}
		if r.Method != Deny {
			hears = append(hears, r.Prefix)
		}
	}
	b.view = &View{decisions: new(bart.Fast[*Verdict]), hears: outermost(hears), rules: &b.rules}
	return b, nil
}

// outermost returns the prefixes that no other one covers, sorted.
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

// affected appends the prefixes whose verdict may change with an entry: its own,
// and those of the rules, of the on-link prefixes and of other sources' entries inside
// it, for which it may be the most specific entry of its source. Sources whose entries
// are never combined with others are skipped.
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
	for _, on := range b.onLink {
		if on.Bits() > p.Bits() && p.Contains(on.Addr()) {
			into = append(into, on)
		}
	}
	if source == Kernel && b.amidLink(p) { // see [question.isAmidLink]
		for _, d := range b.domains {
			for a, e := range s.routes(d).Subnets(p) {
				if e.is(host) && a.IsSingleIP() {
					into = append(into, a)
				}
			}
		}
	}
	for other := range s.entries {
		if other := Source(other); other == source || b.sources[other].alone {
			continue
		}
		if Source(other) == Kernel {
			for _, d := range b.domains {
				for a := range s.routes(d).Subnets(p) {
					into = append(into, a)
				}
			}
			continue
		}
		for a := range s.entries[other].Subnets(p) {
			into = append(into, a)
		}
	}
	return into
}

// update decides anew for the prefixes, makes the next view, and returns what has
// changed. Readers of the old view are not disturbed.
func (b *builder) update(s *Store, prefixes []netip.Prefix) []Delta {
	decisions, fresh := b.view.decisions, false
	var (
		ds      []Delta
		changes int
		most    = 1 + decisions.Size()/bulkPart // changes, without a copy of all
	)
	if len(prefixes) > 1+decisions.Size()/askedPart {
		most = 0
	}
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
		if before.Probe {
			b.probes--
		}
		if after.Probe {
			b.probes++
		}
		if changes++; changes > most && !fresh {
			decisions, fresh = decisions.Clone(), true
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
		b.view = &View{decisions: decisions, hears: b.view.hears, rules: b.view.rules}
	}
	return ds
}

// maxInterned bounds how many distinct verdicts are kept for sharing. Rules and
// devices make few; the bound only limits memory when devices come and go.
const maxInterned = 1 << 14

// intern returns the same pointer for equal verdicts. There are few distinct ones,
// so the view is smaller, and a lookup returns a pointer instead of a copy.
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

// verdict decides for a prefix, and reports whether the view needs a line for it:
// because it is the prefix of a rule, of an entry that the rule's method asks for,
// of a guard, or on-link at the uplink, where a wider route means something else.
func (b *builder) verdict(s *Store, p netip.Prefix) (Verdict, bool) {
	at, i, ok := b.rules.LookupPrefixLPM(p)
	if !ok {
		return Verdict{}, false
	}
	r := &s.rules[i]
	m := &b.methods[b.methodFor(s, r, p)]
	q := question{
		store: s, rule: r, method: m, prefix: p, onLink: b.onLinkOf(p),
		routes: s.routes(s.domains.of(b.domain, r)), ignoresDAD: b.ignoresDAD(r),
	}
	f := b.leaveSameLink(q, m.decide(q))
	v := Verdict{
		Rule: i, Delay: r.Delay,
		Answer: f.answer, Probe: f.probe, Silence: f.silence, Device: f.device, Leaving: f.leaving, Unconfirmed: f.unconfirmed,
		Contested: f.contested, Host: f.host, Part: f.part && at != p,
	}
	v.Service = v.Answer && slices.Contains(m.sources, ServiceAddresses)
	v.IgnoreDAD = v.Hears() && q.ignoresDAD
	needed := at == p || f.line
	if r.Waiting { // and no wider rule takes its place
		return Verdict{Rule: i, Silence: Standby, Part: v.Part}, needed
	}
	if !needed && p == q.onLink && slices.Contains(m.sources, Kernel) {
		needed, v.Part = true, true
	}
	if !p.IsSingleIP() {
		return v, needed
	}
	exact := f.line && (f.answer || f.host) && !f.chosen
	if e, ok := s.entries[Probed].Get(p); ok && v.Probe && v.Host == e.is(host) && (v.Host || b.askedOn(s, r, v.Device, e.device)) {
		v.Answer, v.Probe, v.Learned, v.Part = true, false, true, v.Part || !needed
		needed, f.own, exact = true, !v.Host, exact || !v.Host
		if !v.Host {
			v.Device = e.device
		}
	}
	if exact && r.DAD == DADAuto { // it is defended
		v.IgnoreDAD = false
	}
	if silence, ok := b.guards[p.Addr()]; ok {
		if needed = true; silence != Claimed || !f.own {
			v = Verdict{Rule: i, Silence: silence}
		}
	}
	return v, needed
}

// methodFor returns the method that decides for a prefix: that of the rule, but for the
// service addresses that a rule of another method answers for as well.
func (b *builder) methodFor(s *Store, r *Rule, p netip.Prefix) Method {
	if r.Kinds != 0 && r.Method != Services {
		if e, ok := s.entries[ServiceAddresses].Get(p); ok && r.Kinds.Has(e.kinds) {
			return Services
		}
	}
	return r.Method
}

// askedOn reports whether a rule solicits its targets on a device: the one that the
// route leads to or, for a Probe rule that names devices, one of those that are not on
// the uplink's link.
func (b *builder) askedOn(s *Store, r *Rule, routed, device int32) bool {
	if len(r.Devices) == 0 || r.Method != Probe {
		return routed == device
	}
	same, _ := b.onSameLink(s, device)
	return !same && s.names(r, device)
}

// all returns every prefix that may need a line in the view.
func (b *builder) all(s *Store) []netip.Prefix {
	var ps []netip.Prefix
	for prefix, i := range b.rules.All() {
		ps = append(ps, prefix)
		r := &s.rules[i]
		sources := r.Method.Sources()
		if r.Method == Static { // see [everything]
			sources = []Source{Kernel}
		}
		if r.Kinds != 0 && r.Method != Services { // see [builder.methodFor]
			sources = append(slices.Clone(sources), ServiceAddresses)
		}
		for _, src := range sources {
			entries := &s.entries[src]
			if src == Kernel {
				entries = s.routes(s.domains.of(b.domain, r))
			}
			for p := range entries.Subnets(prefix) {
				ps = append(ps, p)
			}
		}
	}
	for a := range b.guards {
		ps = append(ps, netip.PrefixFrom(a, a.BitLen()))
	}
	return append(ps, b.onLink...)
}
