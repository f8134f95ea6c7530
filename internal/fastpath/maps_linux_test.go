// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

// TestMaps writes and removes many lines at a time in the kernel, of which some are not there,
// or have no room.
func TestMaps(t *testing.T) {
	t.Parallel()
	const room = 8
	some := func(numbers ...int) []key {
		var keys []key
		for _, n := range numbers {
			keys = append(keys, keyOf(netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 15: byte(n)}), 128)))
		}
		return keys
	}
	for name, c := range map[string]struct {
		put, remove []int
		left        []int
		full        bool
	}{
		"all":                     {put: []int{1, 2, 3}, remove: []int{1, 2, 3}},
		"some":                    {put: []int{1, 2, 3}, remove: []int{1, 3}, left: []int{2}},
		"one":                     {put: []int{1, 2, 3}, remove: []int{2}, left: []int{1, 3}},
		"none":                    {put: []int{1}, left: []int{1}},
		"one that is not there":   {put: []int{1, 2, 3}, remove: []int{4}, left: []int{1, 2, 3}},
		"the first is not there":  {put: []int{1, 2, 3}, remove: []int{4, 2, 3}, left: []int{1}},
		"the middle is not there": {put: []int{1, 2, 3}, remove: []int{1, 4, 5, 3}, left: []int{2}},
		"the last is not there":   {put: []int{1, 2, 3}, remove: []int{1, 2, 4}, left: []int{3}},
		"none of them is there":   {put: []int{1, 2}, remove: []int{3, 4, 5}, left: []int{1, 2}},
		"one of them twice":       {put: []int{1, 2, 2, 3}, remove: []int{1, 1, 3}, left: []int{2}},
		"more than there is room": {put: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, remove: []int{1, 2, 3, 4, 5, 6}, left: []int{7, 8}, full: true},
	} {
		for kind, trie := range map[string]bool{"hash": false, "trie": true} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				p, err := Load(false)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = p.Close() }()
				if err := p.maps.Make(1, room, room); err != nil {
					t.Fatal(err)
				}
				keys := some(c.put...)
				if err := p.maps.Put(1, trie, keys, make([]line, len(keys))); errors.Is(err, errFull) != c.full || !c.full && err != nil {
					t.Fatalf("put: %v", err)
				}
				if err := p.maps.Delete(1, trie, some(c.remove...)); err != nil {
					t.Fatalf("delete: %v", err)
				}
				var left []int
				for n := range 16 {
					var l line
					if err := p.maps.slots[1][one(trie)].Lookup(some(n)[0], &l); err == nil {
						left = append(left, n)
					}
				}
				if !slices.Equal(left, c.left) {
					t.Errorf("left are %v, want %v", left, c.left)
				}
			})
		}
	}
}
