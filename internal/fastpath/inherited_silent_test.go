// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestInheritedSilence has a daemon leave what is silent within what it answers for, and the
// next one wait for evidence of all of it: until then, and while it gives up what it has
// inherited, nothing is answered that neither of them answers.
func TestInheritedSilence(t *testing.T) {
	t.Parallel()
	wide, narrow := netip.MustParsePrefix("2001:db8:f1::/64"), netip.MustParsePrefix("2001:db8:f1::/112")
	one128 := netip.MustParsePrefix("2001:db8:f1::1/128")
	beside := netip.MustParseAddr("2001:db8:f1::5:0")
	route := rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:f1::/48"), Method: rules.Route}
	for name, c := range map[string]struct {
		earlier   map[netip.Prefix]line
		rules     []rules.Rule
		inherited int
		answered  bool // the first address, which the earlier daemon was silent about otherwise
	}{
		"a denied address": {
			map[netip.Prefix]line{wide: lineAnswer | lineCovered, one128: 0}, []rules.Rule{route}, 1, false,
		},
		"a prefix without evidence": {
			map[netip.Prefix]line{wide: lineAnswer | lineCovered, narrow: lineCovered}, []rules.Rule{route}, 1, false,
		},
		"a service of another node": {
			map[netip.Prefix]line{wide: lineAnswer | lineCovered, one128: lineCovered | lineShared}, []rules.Rule{route}, 1, false,
		},
		"a service": {
			map[netip.Prefix]line{wide: lineAnswer | lineCovered, one128: lineAnswer | lineCovered | lineShared}, []rules.Rule{route}, 1, false,
		},
		"an address that was answered within": {
			map[netip.Prefix]line{wide: lineAnswer | lineCovered, narrow: lineCovered, one128: lineAnswer | lineCovered}, []rules.Rule{route}, 2, true,
		},
		"an address that is static by now": {
			map[netip.Prefix]line{wide: lineAnswer | lineCovered, one128: 0},
			[]rules.Rule{route, {Prefix: one128, Method: rules.Static}}, 1, true,
		},
		"a prefix that is static by now": {
			map[netip.Prefix]line{wide: lineAnswer | lineCovered, one128: 0},
			[]rules.Rule{route, {Prefix: narrow, Method: rules.Static}}, 1, true,
		},
		"silent on its own": {
			map[netip.Prefix]line{one128: lineCovered}, []rules.Rule{route}, 0, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := new(rules.Store)
			if err := store.SetRules(c.rules); err != nil {
				t.Fatal(err)
			}
			view := store.Load().View("eth0")
			m := new(memory)
			tab := table{store: m, inherited: inherit(c.earlier, view)}
			if n := tab.inherited.count(); n != c.inherited {
				t.Errorf("%d lines are inherited", n)
			}
			if err := tab.rebuild(view); err != nil {
				t.Fatal(err)
			}
			if m.answers(one128.Addr()) != c.answered {
				t.Errorf("the address is answered: %v", !c.answered)
			}
			if _, is := c.earlier[wide]; m.answers(beside) != is {
				t.Errorf("what is around it is answered: %v", !is)
			}
			m.then = func() {
				if m.answers(one128.Addr()) && !c.answered {
					t.Error("the address is answered meanwhile")
				}
			}
			if err := tab.settle(); err != nil {
				t.Fatal(err)
			}
			if maps := m.slots[tab.facts.Slot].maps; m.answers(beside) || len(maps[0])+len(maps[1]) != tab.lines() {
				t.Error("something of the earlier daemon is left")
			}
		})
	}
}
