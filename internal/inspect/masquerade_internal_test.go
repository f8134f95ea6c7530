// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/firewall"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestMasqueraded has network plugins and kube-proxy handle packets of a node.
func TestMasqueraded(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix
	const flannel = "ip6 nat FLANNEL-POSTRTG"
	tests := []struct {
		name   string
		method rules.Method
		fw     Firewall
		change func(*Uplink)
		want   string // of the only finding, "" for none
		says   string
	}{
		{name: "a firewall that cannot be read", method: rules.Pods},
		{name: "an error", method: rules.Pods, fw: fakeFirewall{masquerade: flannel, err: errors.New("refused")}},
		{name: "nothing", method: rules.Pods, fw: fakeFirewall{}},
		{name: "flannel", method: rules.Pods, fw: fakeFirewall{masquerade: flannel}, want: "info masquerade", says: flannel + " changes the source of packets from 2001:db8:1:0:f::/80 that leave by eth0"},
		{name: "flannel, other pods", method: rules.Pods, fw: fakeFirewall{masquerade: flannel, from: p("fd00::/64")}},
		{name: "another method", method: rules.Route, fw: fakeFirewall{masquerade: "ip6 nat POSTROUTING"}, want: "info masquerade", says: "packets from 2001:db8:1:0:f::/80"},
		{name: "addresses of the host itself", method: rules.Route, fw: fakeFirewall{masquerade: flannel}, change: func(u *Uplink) { u.Way.Destinations[0].Device = firewall.Device{} }},
		{name: "Calico", method: rules.Pods, fw: fakeFirewall{masquerades: []string{"cali-nat-outgoing"}}, want: "info masquerade", says: "Calico (cali-nat-outgoing) changes the source"},
		{name: "Calico with nftables", method: rules.Pods, fw: fakeFirewall{masquerade: "ip6 calico cali-nat-outgoing", masquerades: []string{"cali-nat-outgoing"}}, want: "info masquerade", says: "ip6 calico cali-nat-outgoing changes"},
		{name: "Calico, and rules for services", method: rules.Services, fw: fakeFirewall{masquerades: []string{"cali-nat-outgoing"}}},
		{name: "kube-proxy in iptables mode", method: rules.Services, fw: fakeFirewall{chains: []string{"KUBE-NODEPORTS"}}, want: "info service_loops", says: `set "drop_loops: true"`},
		{name: "the same, and packets are dropped", method: rules.Services, fw: fakeFirewall{chains: []string{"KUBE-NODEPORTS"}}, change: func(u *Uplink) { u.Config.DropLoops = true }},
		{name: "the same, and no rule for services", method: rules.Pods, fw: fakeFirewall{chains: []string{"KUBE-NODEPORTS"}}},
		{name: "kube-proxy in nftables mode", method: rules.Services, fw: fakeFirewall{chains: []string{"services"}}, want: "info service_loops", says: "in the mode nftables"},
		{name: "kube-proxy in nftables mode, and cluster IPs", method: rules.Services, fw: fakeFirewall{chains: []string{"services"}}, change: func(u *Uplink) { u.Rules[0].Kinds = rules.ClusterIPs }},
		{name: "kube-proxy says so itself", method: rules.Services, change: func(u *Uplink) { u.ProxyMode = "iptables" }, want: "info service_loops", says: "in the mode iptables"},
		{name: "chains of another mode are left over", method: rules.Services, fw: fakeFirewall{chains: []string{"KUBE-NODEPORTS"}}, change: func(u *Uplink) { u.ProxyMode = "ipvs" }},
		{name: "another service proxy", method: rules.Services, fw: fakeFirewall{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := uplinkOf(tt.method, "2001:db8:1:0:f::/80")
			u.Way.Destinations = []Destination{{Prefix: p("2001:db8:1:0:f::/80"), Device: firewall.Device{Name: "cni0", Index: 7}, Forwards: true}}
			u.Way.Firewall = tt.fw
			if tt.change != nil {
				tt.change(&u)
			}
			found := Findings(u)
			switch {
			case tt.want == "" && len(found) == 0:
			case len(found) != 1, string(found[0].Severity)+" "+found[0].Reason != tt.want, !strings.Contains(found[0].Problem+found[0].Remedy, tt.says):
				t.Errorf("found %+v", found)
			case slices.Contains(Reasons(), found[0].Reason):
				t.Errorf("the metric has %s, which is information only", found[0].Reason)
			}
		})
	}
}

// TestAskProxyMode asks what serves like kube-proxy, and what does not.
func TestAskProxyMode(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		code         int
		answer, want string
	}{
		"kube-proxy":      {http.StatusOK, "iptables\n", "iptables"},
		"another program": {http.StatusNotFound, "404 page not found", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.code)
				_, _ = io.WriteString(w, tt.answer)
			}))
			defer s.Close()
			if got := askProxyMode(s.URL); got != tt.want {
				t.Errorf("got %q", got)
			}
			s.Close()
			if got := askProxyMode(s.URL); got != "" {
				t.Errorf("of nobody: %q", got)
			}
		})
	}
}
