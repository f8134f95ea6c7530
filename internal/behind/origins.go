// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// origins are the uplinks and tables that decisions are made for. They never change.
type origins struct {
	names   []string // of uplinks, in order
	indices map[string]int
	tables  []uint32
}

// of returns where the lookups for an uplink, or for a table, start.
func (o *origins) of(uplink string, table uint32) hostwatch.Origin {
	if table != 0 {
		return hostwatch.Origin{Table: table}
	}
	return hostwatch.Origin{Device: uplink, Index: int32(o.indices[uplink])} //nolint:gosec // the kernel's int
}

// SetOrigins names the uplinks, with the indices of their devices, 0 for none, and the
// tables that rules name. It reports whether any entry may be another by it, or may
// belong to another domain.
func (j *Judge) SetOrigins(uplinks map[string]int, tables []uint32) (changed bool) {
	next := &origins{names: slices.Sorted(maps.Keys(uplinks)), indices: maps.Clone(uplinks), tables: slices.Clone(tables)}
	last := j.known.origins.Swap(next)
	all := make([]hostwatch.Origin, 0, 1+len(next.names)+len(tables))
	for _, name := range next.names {
		all = append(all, next.of(name, 0))
	}
	if len(all) == 0 { // the default domain is that of a device, and not of a table
		all = append(all, hostwatch.Origin{})
	}
	for _, table := range tables {
		all = append(all, next.of("", table))
	}
	return j.routes.Follow(all) || !slices.Equal(last.names, next.names) || !slices.Equal(last.tables, next.tables)
}

// Domains returns the domains of this moment. version is another one after each
// change.
func (j *Judge) Domains() (d rules.Domains, version uint64) {
	o := j.known.origins.Load()
	j.routes.Read(func(t hostwatch.Tables) {
		l := t.Lookups()
		d = rules.Domains{Uplinks: make(map[string]rules.Domain), Tables: make(map[uint32]rules.Domain), Count: l.Count}
		of := l.Of
		next := func() (domain rules.Domain) {
			if len(of) > 0 {
				domain, of = rules.Domain(of[0]), of[1:]
			}
			return domain
		}
		for _, name := range o.names {
			d.Uplinks[name] = next()
		}
		if len(o.names) == 0 {
			next()
		}
		for _, table := range o.tables {
			d.Tables[table] = next()
		}
		version = l.Version
	})
	return d, version
}

// Version is that of the domains of this moment, see [Judge.Domains].
func (j *Judge) Version() (version uint64) {
	j.routes.Read(func(t hostwatch.Tables) { version = t.Lookups().Version })
	return version
}

// EntryIn is [Judge.Entry] in a domain.
func (j *Judge) EntryIn(d rules.Domain, p netip.Prefix) (rules.Entry, bool) {
	return j.in(d).Entry(p)
}

// AllIn is [Judge.All] in a domain.
func (j *Judge) AllIn(d rules.Domain) iter.Seq[rules.Entry] { return j.in(d).All() }

// in returns a Judge of the routes of a domain.
func (j *Judge) in(d rules.Domain) *Judge {
	if d == 0 {
		return j
	}
	return j.with(func(t hostwatch.Tables) hostwatch.Tables { return t.Of(int(d)) })
}

// From returns a Judge of the routes that decide for packets from an uplink, or of one
// table, if that is not 0.
func (j *Judge) From(uplink string, table uint32) *Judge {
	o := j.known.origins.Load().of(uplink, table)
	return j.with(func(t hostwatch.Tables) hostwatch.Tables { return t.From(o) })
}

func (j *Judge) with(choose func(hostwatch.Tables) hostwatch.Tables) *Judge {
	return &Judge{routes: j.routes, known: j.known, choose: choose}
}
