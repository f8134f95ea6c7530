// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestDecisive shows the prefix or the pod that decided, and the kernel's route only
// where it did.
func TestDecisive(t *testing.T) {
	t.Parallel()
	const block, pod, routed, away = "2001:db8:1:0:a::/120", "2001:db8:1:0:a::5", "2001:db8:1:0:a::6", "2001:db8:1:0:a::7"
	entries := func(es ...rules.Entry) func(func(rules.Entry) bool) {
		return func(yield func(rules.Entry) bool) {
			for _, e := range es {
				if !yield(e) {
					return
				}
			}
		}
	}
	at := func(p string, e rules.Entry) rules.Entry {
		e.Prefix = netip.MustParsePrefix(p)
		return e
	}
	routes := hostwatch.NewRoutes()
	d := &daemon{store: new(rules.Store), routes: routes, judge: behind.New(routes)}
	rule := rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Method: rules.Node}
	if err := d.store.SetRules([]rules.Rule{rule}); err != nil {
		t.Fatal(err)
	}
	d.store.Replace(rules.NodePrefixes, entries(at(block, rules.Entry{Behind: true})))
	d.store.Replace(rules.PodAddresses, entries(at(pod+"/128", rules.Entry{Behind: true})))
	d.store.Replace(rules.Kernel, entries(at(block, rules.Entry{}), at(routed+"/128", rules.Entry{Behind: true, Attached: true, Device: 7}), at(away+"/128", rules.Entry{Elsewhere: true})))
	tests := []struct {
		name, target string
		answer       bool
		want         string
	}{
		{"prefix", "2001:db8:1:0:a::9", true, "node: " + block},
		{"pod", pod, true, "pods: " + pod + "/128"},
		{"route", routed, true, "kernel: " + routed + "/128"},
		{"another node's", away, false, "kernel: " + away + "/128"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			target := netip.MustParseAddr(tt.target)
			v := *d.store.Load().View("eth0").Find(target)
			e := d.decisive("eth0", target, rule, v)
			if v.Answer != tt.answer || e == nil || !strings.HasPrefix(e.String(), tt.want) {
				t.Errorf("%+v by %v, want %s", v, e, tt.want)
			}
		})
	}
	route := &status.Entry{Explanation: behind.Explanation{Route: "…", Why: "the route leads through an uplink"}}
	if why := d.movedAway(netip.MustParseAddr(away), rule, route); why != "a prefix of this node covers the address, but the kernel has another way to it: the route leads through an uplink" {
		t.Errorf("explained by: %s", why)
	}
	if why := d.movedAway(netip.MustParseAddr("2001:db8:1:0:b::1"), rule, route); why != "" {
		t.Errorf("what nobody gave to this node is explained by: %s", why)
	}
}

// TestAnswersBefore says where Cilium answers first.
func TestAnswersBefore(t *testing.T) {
	t.Parallel()
	const pod, free, lxc = "2001:db8:1:0:a::5", "2001:db8:1:0:a::9", "2001:db8:1:0:a::6"
	tests := []struct {
		name, target string
		cilium       bool
		early        bool
		want         string // a part of it
	}{
		{"a pod", pod, true, false, "this answer does not leave"},
		{"a pod, early socket", pod, true, true, "two answers"},
		{"a route to lxc", lxc, true, false, "this answer does not leave"},
		{"nobody's address", free, true, false, ""},
		{"another plugin", pod, false, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			routes := hostwatch.NewRoutes()
			if tt.cilium {
				routes.SetDevice(hostwatch.Device{Index: 4, Name: hostwatch.CiliumHost, Kind: "veth"}, false)
			}
			routes.SetDevice(hostwatch.Device{Index: 7, Name: "lxc3d898de6aad1", Kind: "veth"}, false)
			d := &daemon{store: new(rules.Store), routes: routes, judge: behind.New(routes)}
			rule := rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Method: rules.Pods}
			if err := d.store.SetRules([]rules.Rule{rule}); err != nil {
				t.Fatal(err)
			}
			for source, a := range map[rules.Source]string{rules.PodAddresses: pod, rules.Kernel: lxc} {
				d.store.Replace(source, func(yield func(rules.Entry) bool) {
					yield(rules.Entry{Prefix: netip.MustParsePrefix(a + "/128"), Behind: true, Attached: true, Device: 7})
				})
			}
			got := d.answersBefore(rules.Uplink{Interface: "eth0", Early: tt.early}, netip.MustParseAddr(tt.target), rule)
			if !strings.Contains(got, tt.want) || (tt.want == "") != (got == "") {
				t.Errorf("got %q", got)
			}
		})
	}
}
