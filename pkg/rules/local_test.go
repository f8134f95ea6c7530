// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestLocal compares what a cluster says of a node with what the kernel's routes say.
func TestLocal(t *testing.T) {
	t.Parallel()
	const link, wide, block, pod = "2001:db8:1::/64", "2001:db8:1:0:a::/104", "2001:db8:1:0:a::/120", "2001:db8:1:0:a::5/128"
	route := func(p string, e rules.Entry) rules.Entry {
		e.Prefix, e.Device = prefix(p), 7
		return e
	}
	here := rules.Entry{Behind: true, Forwarded: true, Attached: true}
	router := rules.Entry{Behind: true, Forwarded: true}
	away := rules.Entry{Elsewhere: true}
	gateway := rules.Entry{Behind: true, Forwarded: true, Elsewhere: true}
	vague := rules.Entry{Forwarded: true} // to a device for the pods of all nodes
	const none, more = "", "additional "
	tests := []struct {
		name       string
		block, pod string // as the cluster has them
		routes     []rules.Entry
		node, pods bool
	}{
		{"no route", block, none, nil, true, false},
		{"no route, a pod", none, pod, nil, true, true},
		{"first sign", none, none, []rules.Entry{route(pod, here)}, true, true},
		{"a device without pods", none, none, []rules.Entry{route(pod, router)}, false, false},
		{"to the plugin's device", block, pod, []rules.Entry{route(block, vague)}, true, true},
		{"the prefix is another node's", block, none, []rules.Entry{route(block, away)}, false, false},
		{"but one address", block, none, []rules.Entry{route(block, away), route(pod, here)}, true, true},
		{"a part is another node's", block, none, []rules.Entry{route("2001:db8:1:0:a::/124", away)}, false, false},
		{"one address is another node's", block, pod, []rules.Entry{route(block, vague), route(pod, away)}, false, false},
		{"by a next hop on another interface", block, pod, []rules.Entry{route(pod, gateway)}, false, false},
		{"a wider prefix leads away", block, none, []rules.Entry{route(wide, away)}, true, false},
		{"a pod in another node's prefix", none, pod, []rules.Entry{route(wide, away)}, false, false},
		{"the link's own prefix", block, pod, []rules.Entry{route(link, away)}, true, true},
		{"the node's prefix is the link's", link, none, []rules.Entry{route(link, away)}, true, false},
		{"a route of the node's own to a wider prefix", none, pod, []rules.Entry{route(wide, vague)}, true, true},
		{"additional network on a bridge", none, more + pod, []rules.Entry{route(block, here)}, true, true},
		{"additional network by a route of its own", none, more + pod, []rules.Entry{route(pod, here)}, true, true},
		{"additional network on the uplink's link", none, more + pod, []rules.Entry{route(link, away)}, false, false},
		{"additional network without a route", none, more + pod, nil, false, false},
		{"additional network on another device with the link's prefix", none, more + pod, []rules.Entry{route(link, here)}, false, false},
		{"additional network that leads to another node", none, more + pod, []rules.Entry{route(block, away)}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for method, want := range map[rules.Method]bool{rules.Node: tt.node, rules.Pods: tt.pods} {
				s := new(rules.Store)
				if err := s.SetRules([]rules.Rule{{Prefix: prefix(link), Method: method}}); err != nil {
					t.Fatal(err)
				}
				s.SetOnLink("eth0", []netip.Prefix{prefix(link)})
				s.Replace(rules.Kernel, func(yield func(rules.Entry) bool) {
					for _, e := range tt.routes {
						if !yield(e) {
							return
						}
					}
				})
				for source, p := range map[rules.Source]string{rules.NodePrefixes: tt.block, rules.PodAddresses: tt.pod} {
					if p != none {
						p, additional := strings.CutPrefix(p, more)
						s.Replace(source, func(yield func(rules.Entry) bool) {
							yield(rules.Entry{Prefix: prefix(p), Behind: true, Additional: additional})
						})
					}
				}
				v := s.Load().View("eth0").Find(prefix(pod).Addr())
				if v == nil || v.Answer != want {
					t.Errorf("%s: the verdict is %+v", method, v)
				}
			}
		})
	}
}
