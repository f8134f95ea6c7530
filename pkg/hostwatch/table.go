// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
	"golang.org/x/sys/unix"
)

// table is one of the kernel's IPv6 routing tables: all paths of each prefix,
// ordered by metric and then in the kernel's order. Lists of paths are shared
// by many prefixes and never changed.
type table struct {
	paths  bart.Table[*[]Path]
	throws int // paths of the type throw
}

// throws counts the paths of the type throw.
func throws(paths []Path) (n int) {
	for i := range paths {
		if paths[i].Kind == unix.RTN_THROW {
			n++
		}
	}
	return n
}

// get returns the paths of exactly this prefix.
func (t *table) get(p netip.Prefix) []Path {
	if paths, ok := t.paths.Get(p); ok {
		return *paths
	}
	return nil
}

// with returns the paths with those of a new or changed route. replace is
// NLM_F_REPLACE of its message.
//
// At one metric a table may have several plain routes beside one with next hops:
// only routes with a next hop are joined (rt6_qualify_for_ecmp of the kernel).
func with(old []Path, r Route, replace bool) []Path {
	if len(r.Paths) == 0 {
		return old
	}
	metric, joined := r.Paths[0].Metric, r.Paths[0].Joins() || r.Whole
	drop := func(Path) bool { return false }
	switch replaced := -1; {
	case r.Whole: // the message has all next hops
		drop = func(p Path) bool { return p.Metric == metric && (p.Joins() || r.Object) }
	case replace:
		for i, p := range old { // the first of its sort, or else of its metric
			if p.Metric == metric && (replaced < 0 || p.Joins() == joined && old[replaced].Joins() != joined) {
				replaced = i
			}
		}
		drop = func(p Path) bool {
			return replaced >= 0 && (p.same(old[replaced]) || old[replaced].Joins() && p.Metric == metric && p.Joins())
		}
	}
	// What replaces others takes the place of the first of them.
	paths, at := make([]Path, 0, len(old)+len(r.Paths)), -1
	for _, p := range old {
		if drop(p) || slices.ContainsFunc(r.Paths, p.same) {
			if at < 0 {
				at = len(paths)
			}
			continue
		}
		paths = append(paths, p)
	}
	if at < 0 {
		at = len(paths)
	}
	paths = slices.Insert(paths, at, r.Paths...)
	slices.SortStableFunc(paths, func(a, b Path) int { return cmp.Compare(a.Metric, b.Metric) })
	return paths
}

// mixed reports whether several routes have one metric: plain ones, or one beside
// such with next hops, which are joined into one. It does not matter where none of
// them forwards, as with one anycast address on several devices.
func mixed(paths []Path) bool {
	for i := 1; i < len(paths); i++ {
		a, b := paths[i-1], paths[i]
		if a.Metric == b.Metric && (!a.Joins() || !b.Joins()) && (a.Kind == unix.RTN_UNICAST || b.Kind == unix.RTN_UNICAST) {
			return true
		}
	}
	return false
}

// without returns the paths without those of a route, or of some of its next
// hops. Of a route with a next hop object nothing is left.
func without(old []Path, r Route) []Path {
	var paths []Path
	for _, p := range old {
		if !slices.ContainsFunc(r.Paths, p.same) && (!r.Object || len(r.Paths) == 0 || p.Metric != r.Paths[0].Metric) {
			paths = append(paths, p)
		}
	}
	return paths
}

// maxShared is how many lists of one path are kept to be shared.
const maxShared = 1 << 14

// set puts the paths of a prefix. shared holds lists of one path.
func (t *table) set(p netip.Prefix, paths []Path, shared map[Path]*[]Path) {
	switch len(paths) {
	case 0:
		t.paths.Delete(p)
	case 1:
		list, ok := shared[paths[0]]
		if !ok {
			if len(shared) >= maxShared {
				clear(shared)
			}
			list = &paths
			shared[paths[0]] = list
		}
		t.paths.Insert(p, list)
	default:
		t.paths.Insert(p, &paths)
	}
}

// best returns the paths with the lowest metric, of which the kernel takes one.
func best(paths []Path) []Path {
	n := 0
	for n < len(paths) && paths[n].Metric == paths[0].Metric {
		n++
	}
	return paths[:n]
}

// covering returns the most specific prefix of the table that holds p.
func (t *table) covering(p netip.Prefix) (netip.Prefix, []Path, bool) {
	at, paths, ok := t.paths.LookupPrefixLPM(p)
	if !ok {
		return at, nil, false
	}
	return at, best(*paths), true
}

// TypeName returns the route's type as "ip -6 route" names it.
func (p Path) TypeName() string {
	switch p.Kind {
	case unix.RTN_UNICAST:
		return "unicast"
	case unix.RTN_LOCAL:
		return "local"
	case unix.RTN_ANYCAST:
		return "anycast"
	case unix.RTN_MULTICAST:
		return "multicast"
	case unix.RTN_BLACKHOLE:
		return "blackhole"
	case unix.RTN_UNREACHABLE:
		return "unreachable"
	case unix.RTN_PROHIBIT:
		return "prohibit"
	case unix.RTN_THROW:
		return "throw"
	}
	return "other"
}
