// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestInherit keeps what the rules allow and there is no evidence of, until there is.
func TestInherit(t *testing.T) {
	t.Parallel()
	store := new(rules.Store)
	err := store.SetRules([]rules.Rule{
		{Prefix: netip.MustParsePrefix("2001:db8:f1::/48"), Method: rules.Route},
		{Prefix: netip.MustParsePrefix("2001:db8:f2::/48"), Method: rules.Deny},
		{Prefix: netip.MustParsePrefix("2001:db8:f3::/48"), Method: rules.Static},
		{Prefix: netip.MustParsePrefix("2001:db8:f4::/48"), Method: rules.Probe},
	})
	if err != nil {
		t.Fatal(err)
	}
	// The first address of the prefix is the host's own.
	store.SetGuards("eth0", map[netip.Addr]rules.Silence{netip.MustParseAddr("2001:db8:f1:5::"): rules.OwnAddress})
	view := store.Load().View("eth0")
	for name, c := range map[string]struct {
		prefix string
		line   line
		stays  bool
	}{
		"without evidence":         {"2001:db8:f1::1/128", lineAnswer, true},
		"a prefix":                 {"2001:db8:f1:5::/64", lineAnswer, true},
		"the host's own":           {"2001:db8:f1:5::/128", lineAnswer, false},
		"silent":                   {"2001:db8:f1::1/128", lineCovered, false},
		"a service":                {"2001:db8:f1::1/128", lineAnswer | lineShared, false},
		"denied":                   {"2001:db8:f2::1/128", lineAnswer, false},
		"in a static rule":         {"2001:db8:f3::1/128", lineAnswer, false},
		"to be asked, no route":    {"2001:db8:f4::1/128", lineAnswer, true},
		"of no rule":               {"2001:db8:f5::1/128", lineAnswer, false},
		"wider than the rule":      {"2001:db8::/32", lineAnswer, false},
		"as wide as the rule":      {"2001:db8:f1::/48", lineAnswer, true},
		"as wide as the deny rule": {"2001:db8:f2::/48", lineAnswer, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := netip.MustParsePrefix(c.prefix)
			i := inherit(map[netip.Prefix]line{p: c.line}, view)
			if i.keeps(p) != c.stays || i.count() != one(c.stays) {
				t.Errorf("it stays: %v", i.keeps(p))
			}
		})
	}
	if i := inherit(map[netip.Prefix]line{netip.MustParsePrefix("2001:db8:f1::1/128"): lineAnswer}, nil); i.count() != 0 {
		t.Error("a line stays without a view")
	}
}

// TestInheritedTable keeps an inherited line in the table until evidence decides.
func TestInheritedTable(t *testing.T) {
	t.Parallel()
	one128, two128 := netip.MustParsePrefix("2001:db8:f1::1/128"), netip.MustParsePrefix("2001:db8:f1::2/128")
	rule := rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:f1::/48"), Method: rules.Route}
	store := new(rules.Store)
	var change rules.Change
	store.Follow(func(c rules.Change) { change = c })
	if err := store.SetRules([]rules.Rule{rule}); err != nil {
		t.Fatal(err)
	}
	route := func(p netip.Prefix, behind bool) rules.EntryChange {
		return rules.EntryChange{Entry: rules.Entry{Prefix: p, Behind: behind}}
	}
	m := new(memory)
	tab := table{store: m, inherited: inherit(map[netip.Prefix]line{one128: lineAnswer | lineCovered, two128: lineAnswer | lineCovered}, store.Load().View("eth0"))}
	if err := tab.rebuild(store.Load().View("eth0")); err != nil {
		t.Fatal(err)
	}
	follow := func(changes ...rules.EntryChange) {
		t.Helper()
		store.UpdateRoutes(0, changes)
		if err := tab.setView(change.After.View("eth0"), change.Deltas("eth0")); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(what string, inherited int, answered ...netip.Prefix) {
		t.Helper()
		if tab.inherited.count() != inherited {
			t.Errorf("%s: %d are inherited", what, tab.inherited.count())
		}
		for _, p := range []netip.Prefix{one128, two128} {
			want := false
			for _, a := range answered {
				want = want || a == p
			}
			if got := m.answers(p.Addr()); got != want {
				t.Errorf("%s: %s is answered: %v", what, p, got)
			}
		}
	}
	wants("at first", 2, one128, two128)
	follow(route(one128, true)) // the evidence confirms it
	wants("confirmed", 1, one128, two128)
	follow(rules.EntryChange{Entry: rules.Entry{Prefix: one128}, Gone: true})
	wants("gone after that", 1, two128)
	if err := tab.settle(); err != nil {
		t.Fatal(err)
	}
	wants("settled", 0)
	follow(route(two128, true))
	wants("settled", 0, two128)
}
