// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"fmt"
	"net/netip"
	"slices"
)

const (
	// linkBits is the length of the prefixes that links are named by: that of nearly all
	// links (RFC 4291 §2.5.4).
	linkBits = 64
	// maxLinkNames is how many names a node's links have before they count as not known:
	// each of them is a watch.
	maxLinkNames = 8
)

// LinkNames returns the names of the links of an announcer, in order: one for each /64 of
// their on-link prefixes. Nodes with a name in common may be near to each other, those
// without are not. known is false where the names do not tell: the node has uplinks, and none
// with an on-link prefix, or prefixes of several /64, and may be near to everybody. The
// names fit into labels of Kubernetes.
func LinkNames(links []Link) (names []string, known bool) {
	prefixes := 0
	for _, l := range links {
		for _, p := range l.OnLink {
			prefixes++
			if p.Bits() < linkBits {
				return nil, false
			}
			name := linkName(p)
			if i, found := slices.BinarySearch(names, name); !found {
				names = slices.Insert(names, i, name)
			}
		}
	}
	if len(links) > 0 && prefixes == 0 || len(names) > maxLinkNames {
		return nil, false
	}
	return names, true
}

// linkName returns the name of the /64 that a prefix is of.
func linkName(p netip.Prefix) string {
	b := p.Addr().As16()
	return fmt.Sprintf("%02x%02x-%02x%02x-%02x%02x-%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7])
}

// Near reports whether two announcers may take the same addresses over from each other.
// One without an uplink is near to nobody.
func (a *Announcer) Near(o *Announcer) bool { return a.near(o) }

// Withdrawn notes that our lease was given back: nobody knows any more what it said, so
// that we come last where there is another announcer, see ownRank.
func (e *Election) Withdrawn() { e.published = Announcer{} }
