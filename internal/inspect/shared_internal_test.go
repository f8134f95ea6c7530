// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/firewall"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// sides is a judge by which the whole prefix leads back or not.
type sides struct {
	Judge
	back, behind bool
}

func (s sides) LeadsBack(netip.Prefix) bool   { return s.back }
func (s sides) LeadsBehind(netip.Prefix) bool { return s.behind }

// TestShared looks at uplinks whose on-link prefix 2001:db8:1::/64 is behind the node as
// well.
func TestShared(t *testing.T) {
	t.Parallel()
	link := netip.MustParsePrefix("2001:db8:1::/64")
	bridge := Device{Name: "br0", Neighbors: true, Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::2/64")}}
	tunnel := Device{Name: "wg0", Addresses: bridge.Addresses}
	part := Device{Name: "br1", Neighbors: true, Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8:1:0:f::1/80")}}
	rule := func(m rules.Method, devices ...string) rules.Rule {
		return rules.Rule{Prefix: link, Method: m, Devices: devices}
	}
	wired := rule(rules.Probe, "br0")
	wired.Autowire = true
	tests := []struct {
		name     string
		rule     rules.Rule
		devices  []Device
		routed   string // a device without an address there
		back     bool
		severity Severity // "" for no finding
		config   []string // what it has
		effect   string   // a part of it
	}{
		{name: "a part of the prefix", rule: rule(rules.Route), devices: []Device{part}},
		{name: "a bridge", rule: rule(rules.Route), devices: []Device{bridge, part}, severity: Warning, config: []string{"method: probe", `devices: ["br0"]`}},
		{name: "a bridge that is not preferred", rule: rule(rules.Route), devices: []Device{bridge}, back: true, severity: Warning, config: []string{"autowire: true"}},
		{name: "a static rule", rule: rule(rules.Static), devices: []Device{bridge}, severity: Warning, config: []string{"method: probe"}},
		{name: "a route without an address", rule: rule(rules.Route), devices: []Device{{Name: "br2", Neighbors: true}}, routed: "br2", severity: Warning, config: []string{`devices: ["br2"]`}},
		{name: "the bridge is asked on", rule: rule(rules.Probe, "br0"), devices: []Device{bridge}},
		{name: "the bridge is asked on, and is not preferred", rule: rule(rules.Probe, "br0"), devices: []Device{bridge}, back: true, severity: Warning, config: []string{"autowire: true"}},
		{name: "with routes", rule: wired, devices: []Device{bridge}, back: true},
		{name: "a tunnel", rule: rule(rules.Route), devices: []Device{tunnel}, severity: Warning, effect: "nothing is answered for addresses behind wg0"},
		{name: "a tunnel, static", rule: rule(rules.Static), devices: []Device{tunnel}, severity: Warning, effect: "the static rule answers for the addresses of other stations"},
		{name: "a rule for a part", rule: rules.Rule{Prefix: part.Addresses[0].Masked(), Method: rules.Route}, devices: []Device{bridge}},
		{name: "static, with a part behind", rule: rule(rules.Static), devices: []Device{part}, back: true, severity: Info},
		{name: "a cluster's rule", rule: rule(rules.Pods), devices: []Device{bridge}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := Uplink{OnLink: []netip.Prefix{link}, Rules: []rules.Rule{tt.rule}, Behind: sides{back: tt.back, behind: true}, Way: Way{Devices: tt.devices}}
			if tt.routed != "" {
				u.Way.Destinations = []Destination{{Prefix: link, Device: firewall.Device{Name: tt.routed, Index: 9}}}
			}
			c := &collector{Uplink: u, name: "eth0"}
			c.shared()
			if tt.severity == "" {
				if len(c.found) > 0 {
					t.Errorf("found %+v", c.found)
				}
				return
			}
			if len(c.found) != 1 || c.found[0].Severity != tt.severity || c.found[0].Reason != reasonShared {
				t.Fatalf("found %+v", c.found)
			}
			if !strings.Contains(c.found[0].Effect, tt.effect) {
				t.Errorf("the effect is %q, want %q in it", c.found[0].Effect, tt.effect)
			}
			for _, want := range tt.config {
				if !strings.Contains(c.found[0].Config, want) {
					t.Errorf("the configuration lacks %q:\n%s", want, c.found[0].Config)
				}
			}
		})
	}
}
