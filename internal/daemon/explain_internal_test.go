// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestNoEvidence says why a route of the kernel is no evidence for a rule.
func TestNoEvidence(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		rule  rules.Rule
		entry status.Entry
		want  string // a part of it
	}{
		{"not forwarded", rules.Rule{OwnOnly: true}, status.Entry{Device: "br0", Explanation: behind.Explanation{Behind: true}}, "does not forward IPv6 packets that arrive on eth0, so only what this host itself has is answered for: sysctl -w net.ipv6.conf.all.forwarding=1"},
		{"not forwarded, and not behind", rules.Rule{OwnOnly: true}, status.Entry{Device: "eth0", Explanation: behind.Explanation{Why: "the route leads back"}}, "the route leads back"},
		{"own addresses are left out", rules.Rule{IgnoreOwn: true}, status.Entry{Device: "lo", Explanation: behind.Explanation{Host: true}}, "own_addresses: false"},
		{"another device", rules.Rule{Devices: []string{"br1"}}, status.Entry{Device: "br0", Explanation: behind.Explanation{Behind: true}}, "leads to br0, which the rule does not name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := noEvidence("eth0", tt.rule, &tt.entry); !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q in it", got, tt.want)
			}
		})
	}
}
