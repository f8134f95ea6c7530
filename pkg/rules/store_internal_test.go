// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestGuardsAreForgotten lets uplinks come and go, each with a guard for a while.
func TestGuardsAreForgotten(t *testing.T) {
	t.Parallel()
	a := netip.MustParseAddr("2001:db8::1")
	var s Store
	if err := s.SetRules([]Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: Static, Uplinks: []string{"eth0", "eth1"}}}); err != nil {
		t.Fatal(err)
	}
	var deltas []Delta
	s.Follow(func(c Change) { deltas = c.Deltas("eth0") })
	for i := range 100 {
		for _, uplink := range []string{"eth0", fmt.Sprintf("veth%d", i)} {
			s.SetGuards(uplink, map[netip.Addr]Silence{a: NextHop})
			if uplink == "eth0" && (len(deltas) != 1 || deltas[0].After.Silence != NextHop) {
				t.Fatalf("a guard comes: %+v", deltas)
			}
			s.SetGuards(uplink, nil)
			if uplink == "eth0" && (len(deltas) != 1 || deltas[0].Before.Silence != NextHop) {
				t.Fatalf("a guard goes: %+v", deltas)
			}
		}
	}
	if len(s.guards) != 0 || len(s.builders) != 3 || len(s.Load().named) != 2 {
		t.Errorf("%d guards, %d builders, %d views stay", len(s.guards), len(s.builders), len(s.Load().named))
	}
	if v := s.Load().View("eth0").Find(a); v == nil || !v.Answer {
		t.Errorf("after the guards: %+v", v)
	}
}
