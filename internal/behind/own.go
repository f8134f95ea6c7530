// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Own returns those of the prefixes in which this node itself has addresses that no
// kernel answers for on an uplink, and does not hide them.
func (j *Judge) Own(prefixes []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return !j.any(p, isOwn) })
}

// OnlyOwn reports whether this node itself has such addresses in a prefix, and
// forwards nothing of it to anybody behind it.
func (j *Judge) OnlyOwn(p netip.Prefix) bool {
	return j.any(p, isOwn) && !j.any(p, func(e rules.Entry) bool { return e.Behind })
}

func isOwn(e rules.Entry) bool { return e.Host && !e.Hidden }

// any reports whether an entry that decides for addresses of a prefix is of a kind.
func (j *Judge) any(p netip.Prefix, is func(rules.Entry) bool) bool {
	for e := range j.Within(p) {
		if is(e) {
			return true
		}
	}
	return false
}
