// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// routed returns a store with a rule and routes of these lengths, each under an address of
// its own.
func routed(t testing.TB, lengths ...int) *rules.Store {
	t.Helper()
	s := new(rules.Store)
	if err := s.SetRules([]rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/32"), Method: rules.Route}}); err != nil {
		t.Fatal(err)
	}
	for i, bits := range lengths {
		s.UpdateRoutes(0, []rules.EntryChange{{Entry: rules.Entry{Prefix: at(i, bits), Device: 3, Behind: true}}})
	}
	return s
}

func at(i, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 8), byte(i)}), bits).Masked()
}

// TestPlaces tells which lengths have a place in the hash, and that more go to the trie.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lengths []int // of routes; the rule's is 32
		later   []int // of those that come after the table was made
		classes []int
		trie    bool
	}{
		"one":                       {[]int{64}, nil, []int{64, 32}, false},
		"longest first":             {[]int{64, 128, 96}, nil, []int{128, 96, 64, 32}, false},
		"a new one":                 {[]int{64}, []int{128}, []int{128, 64, 32}, false},
		"as many as there is place": {[]int{48, 56, 64, 80, 96, 112, 128}, nil, []int{128, 112, 96, 80, 64, 56, 48, 32}, false},
		"one too many, later":       {[]int{48, 56, 64, 80, 96, 112, 128}, []int{120}, []int{128, 112, 96, 80, 64, 56, 48, 32}, true},
		"most lines first":          {[]int{48, 48, 56, 56, 64, 64, 80, 80, 96, 96, 112, 112, 128, 128, 120, 120, 104}, nil, []int{128, 120, 112, 96, 80, 64, 56, 48}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := routed(t, c.lengths...)
			tb, m := newTable(t, s)
			for i, bits := range c.later {
				s.UpdateRoutes(0, []rules.EntryChange{{Entry: rules.Entry{Prefix: at(1000+i, bits), Device: 3, Behind: true}}})
			}
			if !slices.Equal(tb.classes, c.classes) || (m.facts.HasTrie == 1) != c.trie {
				t.Errorf("lengths %v, trie %d", tb.classes, m.facts.HasTrie)
			}
			for i, bits := range c.lengths {
				if !m.answers(at(i, bits).Addr()) {
					t.Errorf("%s is not answered", at(i, bits))
				}
			}
			for i, bits := range c.later {
				if !m.answers(at(1000+i, bits).Addr()) {
					t.Errorf("%s is not answered", at(1000+i, bits))
				}
			}
		})
	}
}

// TestFull has more lines come than there was room for: the table is made anew, larger.
func TestFull(t *testing.T) {
	t.Parallel()
	s := routed(t)
	_, m := newTable(t, s)
	for i := range leastRoom + 10 {
		s.UpdateRoutes(0, []rules.EntryChange{{Entry: rules.Entry{Prefix: at(i, 64), Device: 3, Behind: true}}})
	}
	for _, i := range []int{0, leastRoom - 1, leastRoom + 9} {
		if !m.answers(at(i, 64).Addr()) {
			t.Errorf("route %d is not answered", i)
		}
	}
	if room := m.slots[m.facts.Slot].made[0]; room <= leastRoom {
		t.Errorf("there is room for %d lines", room)
	}
}

// TestLargeChange has many lines come, change and go at once. Only where fewer are left than
// differ is the table made anew.
func TestLargeChange(t *testing.T) {
	t.Parallel()
	const many = longestChange + 1
	lines := func(from, to int, gone bool) []rules.EntryChange {
		var all []rules.EntryChange
		for i := from; i < to; i++ {
			p := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i), 14: byte(i >> 8), 13: byte(i >> 16)}), 128)
			all = append(all, rules.EntryChange{Entry: rules.Entry{Prefix: p, Device: 3, Behind: true}, Gone: gone})
		}
		return all
	}
	s := routed(t)
	tb, m := newTable(t, s)
	for _, c := range []struct {
		name    string
		changes []rules.EntryChange
		anew    bool
	}{
		{"the first come", lines(0, 2*many, false), true},
		{"some come, for which there is room", lines(2*many, 3*many, false), false},
		{"some go", lines(0, many, true), false},
		{"more go than stay", lines(many, 3*many-10, true), true},
		{"some come, for which there is no room", lines(0, 2*many, false), true},
	} {
		slot := m.facts.Slot
		s.UpdateRoutes(0, c.changes)
		if anew := m.facts.Slot != slot; anew != c.anew {
			t.Errorf("%s: the table is made anew: %t", c.name, anew)
		}
		view, written := s.Load().View(""), 0
		for _, in := range m.slots[m.facts.Slot].maps {
			written += len(in)
			for p, l := range in {
				if v, is := view.Line(p); !is || lineOf(p, v) != l {
					t.Fatalf("%s: the line of %s is %#x", c.name, p, l)
				}
			}
		}
		want := 0
		for range view.Decisions() {
			want++
		}
		if written != want || tb.lines() != want {
			t.Errorf("%s: there are %d lines, and %d counted, of %d", c.name, written, tb.lines(), want)
		}
	}
}
