// SPDX-License-Identifier: Apache-2.0

package kernel_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/internal/kernel"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestPlugins replays the routes that real network plugins have made on two nodes, and
// asks which addresses of the uplink's prefix each method answers for. The first hex
// digits of all of them are base.
func TestPlugins(t *testing.T) {
	t.Parallel()
	const base = "2001:db8:1234:5678:8:"
	tests := []struct {
		sample   string
		prefixes string // of the node, as the cluster has them
		pods     string // of the node, as the cluster has them
		// targets are asked for; the others are those that are answered.
		targets             string
		route, node, byPods string
	}{
		{"cilium-tunnel-cnin1", "2::/120", "2:0:1c", "2:0:1c 2:0:7 2:0:15b 2:0:177", "", "2:0:1c 2:0:7", "2:0:1c"},
		{"cilium-tunnel-cnin2", "2:0:100/120", "2:0:15b", "2:0:1c 2:0:7 2:0:15b 2:0:177", "", "2:0:15b 2:0:177", "2:0:15b"},
		{"cilium-native-cnin1", "2::/120", "2:0:1c", "2:0:1c 2:0:7 2:0:15b 2:0:177", "", "2:0:1c 2:0:7", "2:0:1c"},
		{"cilium-native-cnin2", "2:0:100/120", "2:0:15b", "2:0:1c 2:0:7 2:0:15b 2:0:177", "", "2:0:15b 2:0:177", "2:0:15b"},
		{"cilium-endpointroutes-cnin1", "2::/120", "2:0:f0", "2:0:f0 2:0:7 2:0:1dd 2:0:177", "2:0:f0", "2:0:f0 2:0:7", "2:0:f0"},
		{"cilium-endpointroutes-cnin2", "2:0:100/120", "", "2:0:f0 2:0:7 2:0:1dd 2:0:177", "2:0:1dd", "2:0:1dd 2:0:177", "2:0:1dd"},
		{"calico-bird-routes-cnin1", "2:cb:7900/120 4:0:4/126", "2:cb:7900", "2:cb:7900 2:cb:7901 2:cb:7909 2:5e:4c00 2:5e:4c09 4:0:1 4:0:5", "2:cb:7900 2:cb:7901", "2:cb:7900 2:cb:7901 2:cb:7909 4:0:5", "2:cb:7900 2:cb:7901"},
		// A node without a block that takes Node.spec.podCIDRs for its own: the
		// prefix is the block of another node.
		{"calico-bird-routes-cnin1", "2:5e:4c00/120 4::/126", "", "2:cb:7900 2:5e:4c00 2:5e:4c09 4:0:1", "2:cb:7900", "2:cb:7900", "2:cb:7900"},
		// The second node's address 4:: is lent to the first one.
		{"calico-borrowed-routes-cnin1", "2:cb:7900/120 4:0:4/126", "4::", "4:: 4:0:3 4:0:5", "4:: 4:0:5", "4:: 4:0:5", "4:: 4:0:5"},
		{"calico-borrowed-routes-cnin2", "2:5e:4c00/120 4::/126", "4:0:3", "4:: 4:0:1 4:0:3 4:0:5", "4:0:3", "4:0:1 4:0:3", "4:0:3"},
		{"calico-noencap-cnin1", "2:cb:7900/120", "", "2:cb:7900 2:cb:7909 2:5e:4c00", "2:cb:7900", "2:cb:7900 2:cb:7909", "2:cb:7900"},
		{"calico-noencap-cnin2", "2:cb:7900/120", "2:cb:7901", "2:cb:7901 2:cb:7909 2:5e:4c00", "2:5e:4c00", "2:5e:4c00", "2:5e:4c00"},
		{"calico-vxlan-cnin1", "2:cb:7900/120", "", "2:cb:7901 2:cb:7909 2:5e:4c01", "2:cb:7901", "2:cb:7901 2:cb:7909", "2:cb:7901"},
		{"flannel-hostgw-cnin1", "2:0:100/120", "2:0:102", "2:0:102 2:0:109 2::2", "2:0:102 2:0:109", "2:0:102 2:0:109", "2:0:102"},
		{"flannel-hostgw-cnin1", "2::/120", "", "2:0:102 2::2", "2:0:102", "", ""}, // what another plugin left behind
		{"flannel-vxlan-cnin1", "2::/120", "2::2", "2::2 2::9 2:0:102", "2::2 2::9", "2::2 2::9", "2::2"},
		{"kuberouter-cnin1", "2::/120", "2::2", "2::2 2::9 2:0:102", "2::2 2::9", "2::2 2::9", "2::2"},
		{"kuberouter-annotated-cnin1", "2:a:100/120", "2:a:102", "2:a:102 2:b:202", "2:a:102", "2:a:102", "2:a:102"},
		{"kuberouter-annotated-cnin2", "2:b:200/120", "", "2:a:102 2:b:202", "2:b:202", "2:b:202", ""},
	}
	for _, tt := range tests {
		t.Run(tt.sample, func(t *testing.T) {
			t.Parallel()
			routes, index := replay(t, tt.sample)
			judge := behind.New(routes)
			for method, want := range map[rules.Method]string{rules.Route: tt.route, rules.Node: tt.node, rules.Pods: tt.byPods} {
				s := new(rules.Store)
				e := kernel.New(judge, s, func([]netip.Addr) {})
				e.SetPolicy(method != rules.Route, nil) // a daemon without a file sees that it is a node
				e.SetUplinks([]int{index}, []string{"eth0"}, map[string]int{"eth0": index}, nil)
				rule := rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:1234:5678::/64"), Method: method}
				if err := s.SetRules([]rules.Rule{rule}); err != nil {
					t.Fatal(err)
				}
				s.SetOnLink("eth0", []netip.Prefix{rule.Prefix})
				replace(s, rules.NodePrefixes, base, tt.prefixes)
				replace(s, rules.PodAddresses, base, tt.pods)
				var got []string
				for _, a := range strings.Fields(tt.targets) {
					if v := s.Load().View("eth0").Find(netip.MustParseAddr(base + a)); v != nil && v.Answer {
						got = append(got, a)
					}
				}
				if !slices.Equal(got, strings.Fields(want)) {
					t.Errorf("%s answers for %v, want %s", method, got, want)
				}
			}
		})
	}
}

// replace makes prefixes or addresses the entries of a source.
func replace(s *rules.Store, source rules.Source, base, words string) {
	s.Replace(source, func(yield func(rules.Entry) bool) {
		for _, w := range strings.Fields(words) {
			if !strings.Contains(w, "/") {
				w += "/128"
			}
			if !yield(rules.Entry{Prefix: netip.MustParsePrefix(base + w), Behind: true}) {
				return
			}
		}
	})
}

// replay returns the devices and routes of a sample, and the index of its uplink eth0. A
// line is a device with its index, name and kind, or a route as "ip -6 route" shows it.
func replay(t *testing.T, sample string) (r *hostwatch.Routes, uplink int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "plugins", sample+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	r = hostwatch.NewRoutes()
	indices := make(map[string]int32)
	for line := range strings.Lines(string(b)) {
		words := strings.Fields(line)
		if words[0] != "device" {
			r.Apply(parseRoute(t, words, indices), 0, false)
			continue
		}
		n, err := strconv.ParseInt(words[1], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		index := int32(n)
		indices[words[2]] = index
		r.SetDevice(hostwatch.Device{
			Index: index, Name: words[2], Kind: words[3], Up: true,
			Loopback: words[2] == "lo", Neighbors: !slices.Contains(words, "noarp"),
		}, false)
	}
	return r, int(indices["eth0"])
}

// parseRoute reads a route as "ip -6 route" shows it.
func parseRoute(t *testing.T, words []string, indices map[string]int32) hostwatch.Route {
	t.Helper()
	p := hostwatch.Path{Kind: unix.RTN_UNICAST, Proto: unix.RTPROT_BOOT}
	kinds := map[string]uint8{"local": unix.RTN_LOCAL, "anycast": unix.RTN_ANYCAST, "blackhole": unix.RTN_BLACKHOLE}
	if kind, ok := kinds[words[0]]; ok {
		p.Kind, words = kind, words[1:]
	}
	route := hostwatch.Route{Table: unix.RT_TABLE_MAIN}
	switch to := words[0]; {
	case to == "default":
		route.Prefix = netip.MustParsePrefix("::/0")
	case strings.Contains(to, "/"):
		route.Prefix = netip.MustParsePrefix(to)
	default:
		route.Prefix = netip.MustParsePrefix(to + "/128")
	}
	for i, w := range words[1:] {
		var next string
		if i+2 < len(words) {
			next = words[i+2]
		}
		switch w {
		case "dev":
			p.Index = indices[next]
		case "via":
			p.Gateway = netip.MustParseAddr(next)
		case "table":
			route.Table = unix.RT_TABLE_LOCAL
		case "metric":
			n, err := strconv.ParseUint(next, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			p.Metric = uint32(n)
		case "proto":
			if next == "kernel" {
				p.Proto = unix.RTPROT_KERNEL
			}
		}
	}
	route.Paths, route.Protocol = []hostwatch.Path{p}, p.Proto
	return route
}
