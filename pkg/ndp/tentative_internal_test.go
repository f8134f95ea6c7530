// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestTentative has a station look for duplicates of an address. Where that is left
// unanswered, so that the station takes the address, it is a sign.
func TestTentative(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		dad  rules.DADPolicy
		want bool
	}{{"left unanswered", rules.DADIgnore, true}, {"defended", rules.DADDefend, false}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				iface := NewInterface(rules.Link{
					Index: 2, MAC: [6]byte{2, 0, 0, 0, 0, 1}, Addresses: []rules.LinkAddress{{Prefix: netip.MustParsePrefix("fe80::1/64"), Usable: true}},
				}, rules.Uplink{})
				f := newFlooded(t, iface, rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Method: rules.Static, DAD: tt.dad})
				var signs []Sighting
				f.lp.l.sighted = func(s Sighting) { signs = append(signs, s) }
				target, mac := behind(2, 7), [6]byte{2, 9}
				for range 3 { // DupAddrDetectTransmits, RFC 4862 §5.1
					f.hear(solicit(mac, netip.Addr{}, target, true))
				}
				want := Sighting{Address: target, MAC: mac, Tentative: true}
				if tt.want != (len(signs) == 1 && signs[0] == want) || !tt.want && len(signs) > 0 {
					t.Errorf("signs %+v", signs)
				}
			})
		})
	}
}
