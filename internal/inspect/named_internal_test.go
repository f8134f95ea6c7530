// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/firewall"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestNamed has rules that name devices. The host has br0 and wg0.
func TestNamed(t *testing.T) {
	t.Parallel()
	const prefix = "2001:db8:1:0:f::/80"
	tests := []struct {
		name    string
		method  rules.Method
		devices []string
		routed  map[string]string // device by prefix, "" for the host itself
		want    string            // the severity, "" for no finding
		says    []string
	}{
		{name: "a device that is there", devices: []string{"br0"}, routed: map[string]string{prefix: "br0"}},
		{name: "nothing is routed yet", devices: []string{"br0"}},
		{
			name: "a device that is missing", devices: []string{"br7"}, want: "warning",
			says: []string{`the rule for ` + prefix + ` names br7 in "devices", which does not exist`, "the rule answers for nothing", "create br7, or mend the name"},
		},
		{
			name: "the prefix is routed elsewhere", devices: []string{"br7"}, routed: map[string]string{prefix: "br0"}, want: "warning",
			says: []string{"routes addresses of the prefix to br0", "br0 may be meant"},
		},
		{name: "a missing device to ask on", method: rules.Probe, devices: []string{"br7", "br8"}, want: "warning", says: []string{"br7 and br8", "which do not exist"}},
		{name: "one of several is missing", devices: []string{"br0", "br7"}, routed: map[string]string{prefix: "br0"}, want: "info", says: []string{"nothing is answered for addresses behind br7"}},
		{
			name: "another device", devices: []string{"wg0"}, routed: map[string]string{prefix: "br0", "2001:db8:1:0:f::1/128": ""}, want: "warning",
			says: []string{"routes " + prefix + " to br0, and the rule names wg0 only", `name br0 in "devices"`},
		},
		{name: "another device for a part", devices: []string{"wg0"}, routed: map[string]string{"2001:db8:1:0:f:1::/96": "br0"}},
		{name: "asked on another device", method: rules.Probe, devices: []string{"wg0"}, routed: map[string]string{prefix: "br0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := rules.Rule{Prefix: netip.MustParsePrefix(prefix), Method: rules.Route, Devices: tt.devices}
			if tt.method != 0 {
				r.Method = tt.method
			}
			u := Uplink{Rules: []rules.Rule{r}}
			index := map[string]int32{"br0": 7, "wg0": 8}
			u.Way.Missing = absent(u.Rules, func(name string) int32 { return index[name] })
			for p, device := range tt.routed {
				u.Way.Destinations = append(u.Way.Destinations, Destination{Prefix: netip.MustParsePrefix(p), Device: firewall.Device{Name: device, Index: int(index[device])}})
			}
			c := &collector{Uplink: u, name: "eth0"}
			c.named()
			got, text := "", ""
			for _, f := range c.found {
				got += string(f.Severity)
				text += f.Problem + "\n" + f.Effect + "\n" + f.Remedy + "\n"
			}
			if got != tt.want {
				t.Fatalf("found %q, want %q:\n%s", got, tt.want, text)
			}
			for _, part := range tt.says {
				if !strings.Contains(text, part) {
					t.Errorf("no %q in:\n%s", part, text)
				}
			}
		})
	}
}
