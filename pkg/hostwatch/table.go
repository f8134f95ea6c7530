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
// ordered by metric and then as the kernel tells them.
type table struct {
	paths bart.Table[[]path]
}

// add takes in a new or changed route. replace is NLM_F_REPLACE of the message.
func (t *table) add(r route, replace bool) {
	old, _ := t.paths.Get(r.prefix)
	paths := make([]path, 0, len(old)+len(r.paths))
	for _, p := range old {
		// One metric has one route with all of its next hops, or one that is
		// replaced as a whole.
		if (replace || r.whole) && len(r.paths) > 0 && p.metric == r.paths[0].metric || slices.ContainsFunc(r.paths, p.same) {
			continue
		}
		paths = append(paths, p)
	}
	if paths = append(paths, r.paths...); len(paths) == 0 {
		return
	}
	slices.SortStableFunc(paths, func(a, b path) int { return cmp.Compare(a.metric, b.metric) })
	t.paths.Insert(r.prefix, paths)
}

// remove takes a route, or some of its next hops, out.
func (t *table) remove(r route) {
	old, _ := t.paths.Get(r.prefix)
	var paths []path
	for _, p := range old {
		if !slices.ContainsFunc(r.paths, p.same) {
			paths = append(paths, p)
		}
	}
	if len(paths) == 0 {
		t.paths.Delete(r.prefix)
		return
	}
	t.paths.Insert(r.prefix, paths)
}

// best returns the paths that the kernel uses: those of the lowest metric.
func best(paths []path) []path {
	n := 0
	for n < len(paths) && paths[n].metric == paths[0].metric {
		n++
	}
	return paths[:n]
}

// covering returns the most specific prefix of the table that holds p.
func (t *table) covering(p netip.Prefix) (netip.Prefix, []path, bool) {
	at, paths, ok := t.paths.LookupPrefixLPM(p)
	return at, best(paths), ok
}

// typeName names a route type for people.
func typeName(kind uint8) string {
	switch kind {
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
