// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"iter"
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Within yields the entries that decide for addresses of a prefix: the one for the
// prefix as a whole, and those for parts of it, in no order. The routes stand still
// meanwhile, as in [Judge.All].
func (j *Judge) Within(p netip.Prefix) iter.Seq[rules.Entry] {
	return func(yield func(rules.Entry) bool) {
		j.read(func(v judgment) {
			d, ok := v.tables.Decide(p)
			if ok && d.At != p && !yield(v.entry(d)) {
				return
			}
			for d := range v.tables.Within(p) {
				if !yield(v.entry(d)) {
					return
				}
			}
		})
	}
}
