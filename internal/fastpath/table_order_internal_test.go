// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestNarrowAndWideGo takes a silent route and the answered one around it away at once, in
// every order: the program never reads the wider one for what the narrower one kept silent.
func TestNarrowAndWideGo(t *testing.T) {
	t.Parallel()
	wide, narrow := netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("2001:db8:1:2::/64")
	for name, first := range map[string]netip.Prefix{"wide first": wide, "narrow first": narrow} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := routed(t)
			s.UpdateRoutes(0, []rules.EntryChange{
				{Entry: rules.Entry{Prefix: wide, Device: 3, Behind: true}}, {Entry: rules.Entry{Prefix: narrow, Device: 3}},
			})
			before := s.Load().View("")
			m := &memory{}
			tb := &table{store: m}
			if err := tb.setView(before, nil); err != nil {
				t.Fatal(err)
			}
			s.UpdateRoutes(0, []rules.EntryChange{
				{Entry: rules.Entry{Prefix: wide}, Gone: true}, {Entry: rules.Entry{Prefix: narrow}, Gone: true},
			})
			after := s.Load().View("")
			deltas := rules.Diff(before, after)
			slices.SortFunc(deltas, func(a, _ rules.Delta) int {
				if a.Prefix == first {
					return -1
				}
				return 1
			})
			target := narrow.Addr().Next()
			if len(deltas) != 2 || answered(before, target) || answered(after, target) {
				t.Fatalf("the case is none: %+v", deltas)
			}
			m.then = func() {
				if m.answers(target) {
					t.Errorf("%s is answered on the way between two views that do not", target)
				}
			}
			if err := tb.setView(after, deltas); err != nil {
				t.Fatal(err)
			}
		})
	}
}
