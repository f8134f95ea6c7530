// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"fmt"
	"net/netip"
	"slices"
)

// MaxPrefixes bounds each of the two lists of an [Uplink]. The kernel finds an
// address among so many prefixes in 15 steps, so the bound is not for packets: it
// keeps the transaction below 3 MB an uplink, and the time in which no other
// program can change nftables at about 150 ms an uplink.
const MaxPrefixes = 16384

// Uplink is what the table does for one interface.
type Uplink struct {
	// Index is the kernel's index of the interface.
	Index int
	// MAC is the interface's. Frames for other stations come by, too, where a
	// bridge hands what it forwards to nftables (br_netfilter).
	MAC [6]byte
	// Prefixes are those whose unicast solicitations the daemon answers there,
	// at most MaxPrefixes of them.
	Prefixes []netip.Prefix
	// Loops are those for which no packet goes back out of the interface, at
	// most MaxPrefixes of them.
	Loops []netip.Prefix
}

func (u Uplink) equal(o Uplink) bool {
	return u.Index == o.Index && u.MAC == o.MAC && slices.Equal(u.Prefixes, o.Prefixes) && slices.Equal(u.Loops, o.Loops)
}

// clone returns a copy that shares nothing with u.
func (u Uplink) clone() Uplink {
	u.Prefixes, u.Loops = slices.Clone(u.Prefixes), slices.Clone(u.Loops)
	return u
}

// bounded returns the uplinks with at most MaxPrefixes in a list, and an error
// that says what was left out.
func bounded(uplinks []Uplink) ([]Uplink, error) {
	var err error
	limit := func(u Uplink, setting string, list []netip.Prefix) []netip.Prefix {
		if len(list) <= MaxPrefixes {
			return list
		}
		if err == nil {
			err = fmt.Errorf("%s on interface %d: only the first %d of %d prefixes are covered, use wider ones", setting, u.Index, MaxPrefixes, len(list))
		}
		return list[:MaxPrefixes]
	}
	all := slices.Clone(uplinks)
	for i, u := range all {
		all[i].Prefixes = limit(u, "consume_unicast", u.Prefixes)
		all[i].Loops = limit(u, "drop_loops", u.Loops)
	}
	return all, err
}
