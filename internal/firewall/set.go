// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"bytes"
	"slices"
)

// intervals returns what the elements of a set stand for. An element of a set of
// intervals ends where the next one begins, which may be a mark of an end.
func intervals(elements []element) []interval {
	marks := slices.ContainsFunc(elements, func(e element) bool { return e.end })
	sorted := slices.Clone(elements)
	slices.SortStableFunc(sorted, func(a, b element) int { return bytes.Compare(a.key, b.key) })
	var out []interval
	for n, e := range sorted {
		i := interval{first: e.key, verdict: e.verdict, unsure: e.catchall || e.keyEnd != nil}
		switch {
		case e.end:
			continue
		case !marks:
			i.end = after(e.key)
		default:
			for _, o := range sorted[n+1:] {
				if !bytes.Equal(o.key, e.key) {
					i.end = o.key
					break
				}
			}
		}
		out = append(out, i)
	}
	return out
}
