// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// Domain numbers one of the ways in which the kernel finds routes: an ordered list of
// routing tables. It depends on the uplink that a packet arrives on, or is the table
// that a rule names. Entries of the source [Kernel] belong to a domain each. Most
// hosts have one, the default domain 0.
type Domain int

// noDomain is that of a table which nobody has told of yet: it has no entries.
const noDomain Domain = -1

// Domains tells which domain decides.
type Domains struct {
	// Uplinks are the domains of uplinks by name; the others have domain 0.
	Uplinks map[string]Domain
	// Tables are those of rules with a table, by its number.
	Tables map[uint32]Domain
	// Count is how many domains there are.
	Count int
}

// equal reports whether nothing differs.
func (d Domains) equal(o Domains) bool {
	return max(d.Count, 1) == max(o.Count, 1) && maps.Equal(d.Uplinks, o.Uplinks) && maps.Equal(d.Tables, o.Tables)
}

// of returns the domain that decides for a rule on an uplink.
func (d Domains) of(uplink Domain, r *Rule) Domain {
	if r.Table == 0 {
		return uplink
	}
	if domain, ok := d.Tables[r.Table]; ok {
		return domain
	}
	return noDomain
}

// routes returns the entries of a domain.
func (s *Store) routes(d Domain) *bart.Table[fact] {
	switch {
	case d == 0:
		return &s.entries[Kernel]
	case d > 0 && int(d) <= len(s.domainEntries):
		return s.domainEntries[d-1]
	}
	return &s.noEntries
}

// Route returns the most specific entry of the source [Kernel] that decides for an
// address by a rule on an uplink.
func (s *Store) Route(uplink string, r *Rule, a netip.Addr) (Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, f, ok := s.routes(s.domains.of(s.domains.Uplinks[uplink], r)).LookupPrefixLPM(netip.PrefixFrom(a, a.BitLen()))
	return s.entry(p, f), ok
}

// UpdateRoutes is [Store.Update] for the entries of a domain of the source [Kernel].
func (s *Store) UpdateRoutes(d Domain, changes []EntryChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if changed := s.write(s.routes(d), changes); len(changed) > 0 {
		s.refresh(Kernel, d, changed)
	}
}

// ReplaceRoutes tells which domains there are, and makes entries the only ones of the
// source [Kernel]: entries(d) are those of domain d. It reads them before it takes the
// store's mutex.
func (s *Store) ReplaceRoutes(domains Domains, entries func(Domain) iter.Seq[Entry]) {
	domains.Uplinks, domains.Tables = maps.Clone(domains.Uplinks), maps.Clone(domains.Tables)
	for name, d := range domains.Uplinks {
		if d == 0 { // as without
			delete(domains.Uplinks, name)
		}
	}
	replacements := make([]*replacement, max(domains.Count, 1))
	for d := range replacements {
		replacements[d] = readEntries(entries(Domain(d)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	same := domains.equal(s.domains)
	s.domainEntries = s.domainEntries[:min(len(s.domainEntries), len(replacements)-1)]
	for len(s.domainEntries) < len(replacements)-1 {
		s.domainEntries = append(s.domainEntries, new(bart.Table[fact]))
	}
	s.domains = domains
	for d := range replacements {
		table := s.routes(Domain(d))
		changed := s.write(table, replacements[d].against(table))
		if same && len(changed) > 0 {
			s.refresh(Kernel, Domain(d), changed)
		}
	}
	if !same && s.current.Load() != nil { // else SetRules will read all
		_ = s.rebuild(s.rules) // SetRules has checked them
	}
}

// TablesOf returns the tables that rules name, in order and each once.
func TablesOf(rs []Rule) []uint32 {
	var tables []uint32
	for i := range rs {
		if t := rs[i].Table; t != 0 {
			tables = append(tables, t)
		}
	}
	slices.Sort(tables)
	return slices.Compact(tables)
}
