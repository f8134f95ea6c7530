// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// memory is a store in memory, which looks up as bpf/answer.c does. Lines change one after the
// other, as in the kernel, however many are given at a time, and after each it calls then.
type memory struct {
	slots [2]struct {
		made [2]int // room of the hash and of the trie
		maps [2]map[netip.Prefix]line
	}
	facts programFacts
	fails error // of the next change
	then  func()
	calls int
}

func (m *memory) change(f func() error) error {
	if m.calls++; m.fails != nil {
		err := m.fails
		m.fails = nil
		return err
	}
	err := f()
	if m.then != nil {
		m.then()
	}
	return err
}

func (m *memory) Make(slot uint32, lines, tries int) error {
	return m.change(func() error {
		s := &m.slots[slot]
		s.made = [2]int{lines, tries}
		s.maps = [2]map[netip.Prefix]line{{}, {}}
		return nil
	})
}

func (m *memory) Put(slot uint32, trie bool, keys []key, lines []line) error {
	for i := range keys {
		err := m.change(func() error {
			s := &m.slots[slot]
			in, p := s.maps[one(trie)], keys[i].prefix()
			if _, is := in[p]; !is && len(in) == s.made[one(trie)] {
				return errFull
			}
			in[p] = lines[i]
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Delete(slot uint32, trie bool, keys []key) error {
	for _, k := range keys {
		err := m.change(func() error {
			delete(m.slots[slot].maps[one(trie)], k.prefix())
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) SetFacts(f *programFacts) error {
	return m.change(func() error {
		m.facts = *f
		return nil
	})
}

// find returns the line that decides for an address, as find of bpf/answer.c does.
func (m *memory) find(a netip.Addr) (found line) {
	s := &m.slots[m.facts.Slot]
	if m.facts.HasTrie == 1 {
		for bits := 128; bits >= 0 && found == 0; bits-- {
			found = s.maps[1][netip.PrefixFrom(a, bits).Masked()]
		}
	}
	for _, c := range m.facts.Class[:m.facts.Classes] {
		if found != 0 && line(c.Bits) <= found>>lengthFrom {
			return found
		}
		if l := s.maps[0][netip.PrefixFrom(a, int(c.Bits)).Masked()]; l != 0 {
			return l
		}
	}
	return found
}

func (m *memory) answers(a netip.Addr) bool { return m.find(a)&lineAnswer != 0 }

// newTable returns a table over a memory, with the views of a store that both follow.
func newTable(t *testing.T, s *rules.Store) (*table, *memory) {
	t.Helper()
	m := &memory{}
	tb := &table{store: m}
	if err := tb.setView(s.Load().View(""), nil); err != nil {
		t.Fatal(err)
	}
	s.Follow(func(c rules.Change) {
		if err := tb.setView(c.After.View(""), c.Deltas("")); err != nil {
			t.Error(err)
		}
	})
	return tb, m
}

func answered(v *rules.View, a netip.Addr) bool {
	verdict := v.Find(a)
	return verdict != nil && verdict.Answer
}

// sameLine reports whether the line that decides for an address is in both views.
func sameLine(before, after *rules.View, a netip.Addr) bool {
	b, _ := before.Lookup(a)
	d, _ := after.Lookup(a)
	return b.Prefix == d.Prefix && b.Verdict.Answer == d.Verdict.Answer
}

// TestSteps changes routes and rules at random, and looks at what the program reads after
// each single write: never is a target answered that neither the view before nor the one
// after answers, or lost that both answer by the same line, and in the end the table is the
// view.
func TestSteps(t *testing.T) {
	t.Parallel()
	for range 4 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 0))
			address := func() netip.Addr {
				b := [16]byte{0x20, 1, 0xd, 0xb8}
				binary.BigEndian.PutUint16(b[8:], uint16(r.IntN(4)))
				binary.BigEndian.PutUint32(b[12:], uint32(r.IntN(16))<<r.IntN(20))
				return netip.AddrFrom16(b)
			}
			prefix := func() netip.Prefix { return netip.PrefixFrom(address(), 64+r.IntN(65)).Masked() }
			someRules := func() (all []rules.Rule) {
				seen := map[netip.Prefix]bool{}
				for range 1 + r.IntN(12) {
					p := prefix()
					if !seen[p] {
						all = append(all, rules.Rule{Prefix: p, Method: []rules.Method{rules.Static, rules.Deny, rules.Route, rules.Route}[r.IntN(4)]})
					}
					seen[p] = true
				}
				return append(all, rules.Rule{Prefix: netip.MustParsePrefix("2001:db8::/32"), Method: rules.Route})
			}
			targets := make([]netip.Addr, 40)
			for i := range targets {
				targets[i] = address()
			}
			var s rules.Store
			if err := s.SetRules(someRules()); err != nil {
				t.Fatal(err)
			}
			tb, m := newTable(t, &s)
			for range 200 {
				before := s.Load().View("")
				m.then = func() {
					after := s.Load().View("")
					for _, a := range targets {
						if m.answers(a) && !answered(before, a) && !answered(after, a) {
							t.Errorf("%s is answered on the way between two views that do not", a)
						}
						if !m.answers(a) && sameLine(before, after, a) && answered(after, a) {
							t.Errorf("%s is not answered on the way between two views that answer by the same line", a)
						}
					}
				}
				if r.IntN(10) == 0 {
					if err := s.SetRules(someRules()); err != nil {
						t.Fatal(err)
					}
				} else {
					changes := make([]rules.EntryChange, 1+r.IntN(10))
					for i := range changes {
						changes[i] = rules.EntryChange{Entry: rules.Entry{Prefix: prefix(), Device: 3, Behind: r.IntN(2) == 0}, Gone: r.IntN(3) == 0}
					}
					s.UpdateRoutes(0, changes)
				}
				m.then = nil
				want := 0
				for range s.Load().View("").Decisions() {
					want++
				}
				if tb.lines() != want {
					t.Fatalf("%d lines are counted, and the view has %d", tb.lines(), want)
				}
				for _, a := range targets {
					if got, want := m.answers(a), answered(s.Load().View(""), a); got != want {
						t.Fatalf("%s is answered: %t, want %t", a, got, want)
					}
				}
			}
		})
	}
}

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

// TestWhole shows that rules that change are seen as a whole: what the program reads does
// not change before it reads all of it.
func TestWhole(t *testing.T) {
	t.Parallel()
	s := routed(t, 64, 80, 128)
	_, m := newTable(t, s)
	slot := m.facts.Slot
	m.then = func() {
		if m.facts.Slot == slot && !m.answers(at(0, 64).Addr()) {
			t.Error("a part of the new rules is in force")
		}
	}
	if err := s.SetRules([]rules.Rule{{Prefix: at(1, 80), Method: rules.Static}}); err != nil {
		t.Fatal(err)
	}
	if m.facts.Slot == slot || m.answers(at(0, 64).Addr()) || !m.answers(at(1, 80).Addr()) {
		t.Error("the new rules are not in force")
	}
}

// TestFailure has a write fail while rules change: the program goes on with what it has.
func TestFailure(t *testing.T) {
	t.Parallel()
	s := routed(t, 64)
	tb, m := newTable(t, s)
	var other rules.Store
	if err := other.SetRules([]rules.Rule{{Prefix: at(1, 80), Method: rules.Static}}); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	m.fails = broken
	if err := tb.setView(other.Load().View(""), nil); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	if !m.answers(at(0, 64).Addr()) {
		t.Error("what was answered is not any more")
	}
}
