// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"
)

// Change is one publication.
type Change struct {
	// Before is the table before it, nil at the first, After the one that now
	// holds.
	Before, After *Table

	rules  bool               // the rules changed, so anything may have
	deltas map[string][]Delta // otherwise: by uplink as in Table.named, "" for common
}

// Deltas returns what the publication changes on an uplink.
func (c Change) Deltas(uplink string) []Delta {
	if c.rules {
		return Diff(c.Before.View(uplink), c.After.View(uplink))
	}
	if ds, ok := c.deltas[uplink]; ok {
		return ds
	}
	if _, own := c.After.named[uplink]; own {
		return nil
	}
	return c.deltas[""]
}

// Store compiles rules and entries into tables, and holds the table that is
// answered from. The zero Store is ready to use and holds none.
type Store struct {
	current atomic.Pointer[Table]
	updates atomic.Uint64

	mu        sync.Mutex
	followers []func(Change)
	rules     []Rule
	entries   [sourceCount]bart.Table[fact]
	lists     listTable
	builders  map[string]*builder // by uplink; "" makes the common view
	guards    map[string]map[netip.Addr]Silence
	onLink    map[string][]netip.Prefix // by uplink, see SetOnLink
	interned  map[Verdict]*Verdict
	resolve   func(device string) int32
	sameLink  func(uplink string, device int32) (same, own bool)

	// domains are those of the source Kernel, and domainEntries the entries of all but
	// domain 0, which are in entries.
	domains       Domains
	domainEntries []*bart.Table[fact]
	noEntries     bart.Table[fact] // stays empty
	// holdSince is the second of [Store.HoldFirstSigns] since 1970, 0 for none.
	holdSince int64
}

// ResolveDevices sets the function that finds the index of a device by its name, 0
// for none. The store calls it under its mutex, so it must not wait, nor call the
// store. Without it no target of a rule with devices counts as probed. Call it
// before anything else.
func (s *Store) ResolveDevices(f func(device string) int32) { s.resolve = f }

// Load returns the published table, or nil before the first publication.
func (s *Store) Load() *Table { return s.current.Load() }

// Updates returns how many tables were published.
func (s *Store) Updates() uint64 { return s.updates.Load() }

// Follow calls f for every later publication, one at a time, before the method that
// published returns. f runs under the store's mutex: it must not wait, and must not
// call any method of the store but Load.
func (s *Store) Follow(f func(Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followers = append(s.followers, f)
}

// SetRules validates the rules and puts them in force. After an error the old rules
// stay in force.
func (s *Store) SetRules(rules []Rule) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range rules {
		if err := r.Validate(); err != nil {
			return fmt.Errorf("compile rule %d (%s): %w", i, r, err)
		}
	}
	return s.rebuild(rules)
}

// rebuild makes all builders anew, for rules or domains that have changed.
func (s *Store) rebuild(rules []Rule) error {
	builders := map[string]*builder{"": nil}
	for _, r := range rules {
		for _, name := range r.Uplinks {
			builders[name] = nil
		}
	}
	for name := range s.guards {
		builders[name] = nil
	}
	for name := range s.onLink {
		builders[name] = nil
	}
	for name := range s.domains.Uplinks {
		builders[name] = nil
	}
	for name := range builders {
		b, err := newBuilder(name, rules, s.domains)
		if err != nil {
			return err
		}
		b.guards, b.onLink = s.guards[name], s.onLink[name]
		builders[name] = b
	}
	s.rules, s.builders = rules, builders
	common := builders[""]
	common.update(s, common.all(s))
	for _, b := range builders {
		if b == common {
			continue
		}
		if b.rules.Size() == common.rules.Size() && b.domain == common.domain { // the same ones: share what does not differ
			b.view, b.probes = common.view, common.probes
		}
		b.update(s, b.all(s))
	}
	s.publish(Change{rules: true})
	return nil
}

// Update applies changes to a source's entries. It publishes a table if any entry
// differs from what the store has.
func (s *Store) Update(source Source, changes []EntryChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.update(source, changes)
}

func (s *Store) update(source Source, changes []EntryChange) {
	if changed := s.write(&s.entries[source], changes); len(changed) > 0 {
		s.refresh(source, 0, changed)
	}
}

// write applies changes to entries, and returns the prefixes of those that differ.
func (s *Store) write(entries *bart.Table[fact], changes []EntryChange) (changed []netip.Prefix) {
	if entries == &s.noEntries {
		return nil
	}
	for _, c := range changes {
		old, known := entries.Get(c.Prefix)
		now := s.fact(c.Entry)
		switch {
		case c.Gone && !known, !c.Gone && known && old.same(now):
			continue
		case c.Gone:
			entries.Delete(c.Prefix)
		default:
			entries.Insert(c.Prefix, now)
		}
		changed = append(changed, c.Prefix)
	}
	return changed
}

// Replace makes entries the only ones that a source has. It reads the sequence
// before it takes the store's mutex.
func (s *Store) Replace(source Source, entries iter.Seq[Entry]) {
	r := readEntries(entries)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.update(source, r.against(&s.entries[source]))
}

// replacement are all entries that a source is to have.
type replacement struct {
	present bart.Lite
	changes []EntryChange
}

func readEntries(entries iter.Seq[Entry]) *replacement {
	r := new(replacement)
	now := time.Now()
	for e := range entries {
		if r.present.Insert(e.Prefix); e.Since.IsZero() {
			e.Since = now // kept only if the entry is new
		}
		r.changes = append(r.changes, EntryChange{Entry: e})
	}
	return r
}

// against returns the changes that make a source's entries these.
func (r *replacement) against(entries *bart.Table[fact]) []EntryChange {
	for p := range entries.All() {
		if !r.present.Get(p) {
			r.changes = append(r.changes, EntryChange{Entry: Entry{Prefix: p}, Gone: true})
		}
	}
	return r.changes
}

// Entry returns the most specific entry of a source for an address.
func (s *Store) Entry(source Source, a netip.Addr) (Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, f, ok := s.entries[source].LookupPrefixLPM(netip.PrefixFrom(a, a.BitLen()))
	return s.entry(p, f), ok
}

// Routed reports whether the kernel has a route for exactly this prefix, of whatever
// type, that does not lead to another node.
func (s *Store) Routed(p netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.entries[Kernel].Get(p)
	return ok && !f.is(elsewhere)
}

// SetGuards makes guards all addresses that an uplink stays silent for,
// whatever the rules say, with the reason of each. An address that is [Claimed] is
// answered for all the same where there is evidence of our own for it: a host
// route behind us, a target that has answered, a pod. An uplink without guards
// leaves nothing behind in the store.
func (s *Store) SetGuards(uplink string, guards map[netip.Addr]Silence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.guards[uplink]
	if maps.Equal(old, guards) {
		return
	}
	if s.guards == nil {
		s.guards = make(map[string]map[netip.Addr]Silence)
	}
	if s.guards[uplink] = maps.Clone(guards); len(guards) == 0 {
		delete(s.guards, uplink)
	}
	if s.current.Load() == nil { // SetRules will use them
		return
	}
	b := s.builder(uplink)
	b.guards = s.guards[uplink]
	var changed []netip.Prefix
	for _, g := range []map[netip.Addr]Silence{old, guards} {
		for a := range g {
			if old[a] != guards[a] {
				changed = append(changed, netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
	deltas := b.update(s, unique(changed))
	s.release(uplink)
	s.publish(Change{deltas: map[string][]Delta{uplink: deltas}})
}

// named reports whether a rule names an uplink or it has a domain, so that it has a
// view of its own.
func (s *Store) named(uplink string) bool {
	return uplink == "" || s.domains.Uplinks[uplink] != 0 || slices.ContainsFunc(s.rules, func(r Rule) bool { return slices.Contains(r.Uplinks, uplink) })
}

func unique(ps []netip.Prefix) []netip.Prefix {
	slices.SortFunc(ps, netip.Prefix.Compare)
	return slices.Compact(ps)
}

// refresh decides anew for what changed entries of a source affect, and publishes.
// domain is that of entries of the source Kernel, and 0 otherwise.
func (s *Store) refresh(source Source, domain Domain, changed []netip.Prefix) {
	if s.current.Load() == nil {
		return // SetRules will read all entries
	}
	c := Change{deltas: make(map[string][]Delta, len(s.builders))}
	for name, b := range s.builders {
		if source == Kernel && !slices.Contains(b.domains, domain) {
			continue
		}
		var affected []netip.Prefix
		for _, p := range changed {
			affected = b.affected(s, source, p, affected)
		}
		c.deltas[name] = b.update(s, affected)
	}
	s.publish(c)
}

// publish makes the builders' views the current table and calls the followers.
func (s *Store) publish(c Change) {
	t := &Table{rules: s.rules, common: s.builders[""].view, named: make(map[string]*View, len(s.builders)-1), onLink: s.onLink}
	for name, b := range s.builders {
		if name != "" {
			t.named[name] = b.view
		}
		t.probes = t.probes || b.probes > 0
	}
	for i := range t.entries {
		t.entries[i] = s.entries[i].Size()
	}
	for _, more := range s.domainEntries {
		t.entries[Kernel] += more.Size()
	}
	c.Before, c.After = s.current.Swap(t), t
	s.updates.Add(1)
	for _, follow := range s.followers {
		follow(c)
	}
}
