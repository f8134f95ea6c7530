// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"iter"
	"net/netip"
	"slices"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestDomains asks for the same address on uplinks of several domains, and by rules of
// several tables.
func TestDomains(t *testing.T) {
	t.Parallel()
	route, byTable := netip.MustParsePrefix("2001:db8:1::5/128"), netip.MustParsePrefix("2001:db8:2::5/128")
	var s rules.Store
	setRules(t, &s,
		rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Method: rules.Route},
		rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:2::/64"), Method: rules.Route, Table: 100})
	entries := func(of ...[]netip.Prefix) func(rules.Domain) iter.Seq[rules.Entry] {
		return func(d rules.Domain) iter.Seq[rules.Entry] {
			return func(yield func(rules.Entry) bool) {
				for _, p := range of[d] {
					if !yield(rules.Entry{Prefix: p, Behind: true, Forwarded: true, Device: int32(d) + 7}) {
						return
					}
				}
			}
		}
	}
	want := func(step string, want map[string]string) {
		t.Helper()
		got := make(map[string]string)
		for _, uplink := range []string{"eth0", "eth1", "eth2"} {
			for _, p := range []netip.Prefix{route, byTable} {
				if s.Load().View(uplink).Find(p.Addr()).Answer {
					got[uplink] += p.Addr().String() + " "
				}
			}
		}
		for _, uplink := range []string{"eth0", "eth1", "eth2"} {
			if got[uplink] != want[uplink] {
				t.Errorf("%s: %s answers for %q, want %q", step, uplink, got[uplink], want[uplink])
			}
		}
	}
	const one, two = "2001:db8:1::5 ", "2001:db8:2::5 "
	s.ReplaceRoutes(rules.Domains{Count: 1}, entries([]netip.Prefix{route, byTable}))
	want("one domain, and nothing known of the table", map[string]string{"eth0": one, "eth1": one, "eth2": one})
	second := rules.Domains{Uplinks: map[string]rules.Domain{"eth0": 0, "eth1": 1}, Tables: map[uint32]rules.Domain{100: 2}, Count: 3}
	s.ReplaceRoutes(second, entries(nil, []netip.Prefix{route}, []netip.Prefix{byTable}))
	want("a domain for an uplink, and one for the table", map[string]string{"eth0": two, "eth1": one + two, "eth2": two})
	if e, ok := s.Route("eth1", &s.Load().Rules()[0], route.Addr()); !ok || e.Device != 8 {
		t.Errorf("the entry is %+v, %t", e, ok)
	}
	updates := s.Updates()
	s.ReplaceRoutes(second, entries(nil, []netip.Prefix{route}, []netip.Prefix{byTable}))
	if s.Updates() != updates {
		t.Error("the same entries were published again")
	}
	s.UpdateRoutes(1, []rules.EntryChange{{Entry: rules.Entry{Prefix: route}, Gone: true}})
	s.UpdateRoutes(0, []rules.EntryChange{{Entry: rules.Entry{Prefix: route, Behind: true, Forwarded: true}}})
	want("a route goes, and another one comes", map[string]string{"eth0": one + two, "eth1": two, "eth2": one + two})
	s.UpdateRoutes(9, []rules.EntryChange{{Entry: rules.Entry{Prefix: route, Behind: true}}})
	if n := s.Load().Entries(rules.Kernel); n != 2 {
		t.Errorf("%d entries", n)
	}
	s.ReplaceRoutes(rules.Domains{Tables: map[uint32]rules.Domain{100: 0}, Count: 1}, entries([]netip.Prefix{route, byTable}))
	want("one domain again", map[string]string{"eth0": one + two, "eth1": one + two, "eth2": one + two})
}

func TestTablesOf(t *testing.T) {
	t.Parallel()
	if got := rules.TablesOf([]rules.Rule{{Table: 7}, {}, {Table: 5}, {Table: 7}}); !slices.Equal(got, []uint32{5, 7}) {
		t.Errorf("tables are %v", got)
	}
}
