// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	vip := netip.MustParseAddr("2001:db8:1::f0")
	address, wg0 := rules.While{Address: vip}, rules.While{Interface: "wg0"}
	both := rules.While{Address: vip, Interface: "wg0"}
	host := func(a discover.AddressState, i discover.InterfaceState) discover.Conditions {
		return discover.Conditions{
			Addresses:  map[netip.Addr]discover.AddressState{vip: a},
			Interfaces: map[string]discover.InterfaceState{"wg0": i},
		}
	}
	tests := []struct {
		name  string
		while rules.While
		host  discover.Conditions
		want  string // "" where the conditions are met
	}{
		{"no condition", rules.While{}, discover.Conditions{}, ""},
		{"an address that nobody has", address, discover.Conditions{}, "no device has 2001:db8:1::f0"},
		{"another address", address, discover.Conditions{Addresses: map[netip.Addr]discover.AddressState{netip.MustParseAddr("2001:db8:1::f1"): discover.AddressUsable}}, "no device has 2001:db8:1::f0"},
		{"a tentative address", address, host(discover.AddressTentative, 0), "duplicate address detection for 2001:db8:1::f0 is under way"},
		{"a duplicate address", address, host(discover.AddressDuplicate, 0), "duplicate address detection for 2001:db8:1::f0 has failed: another station has it"},
		{"an address", address, host(discover.AddressUsable, 0), ""},
		{"no interface", wg0, discover.Conditions{}, "there is no interface wg0"},
		{"an interface that is down", wg0, host(0, discover.InterfaceDown), "wg0 is down or has no carrier"},
		{"an interface", wg0, host(0, discover.InterfaceUp), ""},
		{"both", both, host(discover.AddressUsable, discover.InterfaceUp), ""},
		{"the address alone", both, host(discover.AddressUsable, discover.InterfaceDown), "wg0 is down or has no carrier"},
		{"the interface alone", both, host(discover.AddressAbsent, discover.InterfaceUp), "no device has 2001:db8:1::f0"},
		{"neither", both, discover.Conditions{}, "no device has 2001:db8:1::f0, and there is no interface wg0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.host.Unmet(tt.while); got != tt.want {
				t.Errorf("unmet is %q, want %q", got, tt.want)
			}
			written := []rules.Rule{
				{Prefix: netip.MustParsePrefix("2001:db8:2::/64"), Method: rules.Static},
				{Prefix: netip.MustParsePrefix("2001:db8:1:0:f::/80"), Method: rules.Static, While: tt.while},
			}
			got := discover.Hold(written, tt.host)
			if got[0].Waiting || got[1].Waiting != (tt.want != "") {
				t.Errorf("rules are %+v", got)
			}
			if written[1].Waiting {
				t.Error("the rules of the configuration were changed")
			}
		})
	}
}
