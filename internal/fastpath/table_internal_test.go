// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

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
