// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// The pods of two nodes, in a part of the link's prefix for each, and addresses there
// that no pod has.
const (
	pod1, free1, part1 = "2001:db8:1:0:8:2::5", "2001:db8:1:0:8:2::9", "2001:db8:1:0:8:2::/120"
	pod2, free2, part2 = "2001:db8:1:0:8:2:0:105", "2001:db8:1:0:8:2:0:109", "2001:db8:1:0:8:2:0:100/120"
)

// TestPluginRoutes makes the routes that network plugins make on two nodes, and wants an
// answer for each pod from its own node alone, by a rule of the method route and without
// a configuration.
func TestPluginRoutes(t *testing.T) {
	t.Parallel()
	byRouter := func(r *netlink.Route) { // a next hop on the uplink
		r.Gw, r.Flags = addr("2001:db8:1::99").AsSlice(), int(netlink.FLAG_ONLINK)
	}
	plugins := []struct {
		name string
		// routes makes the routes of a node whose pod has a device, and whose part of
		// the prefix is own; that of the other node is other.
		routes func(t *testing.T, node *lab.Namespace, pod, own, other string)
	}{
		{"Cilium's tunnel", func(t *testing.T, node *lab.Namespace, pod, own, other string) {
			device(t, node, "cilium_host")
			route(t, node, own, "cilium_host", node.Link.RouteAdd)
			route(t, node, other, "cilium_host", node.Link.RouteAdd)
			device(t, node, "lxc1")
			route(t, node, pod+"/128", "lxc1", node.Link.RouteAdd)
		}},
		{"Calico without encapsulation", func(t *testing.T, node *lab.Namespace, pod, own, other string) {
			route(t, node, own, "lo", node.Link.RouteAdd, func(r *netlink.Route) { r.Type = unix.RTN_BLACKHOLE })
			route(t, node, other, harness.Uplink, node.Link.RouteAdd, byRouter)
			device(t, node, "cali1")
			route(t, node, pod+"/128", "cali1", node.Link.RouteAdd)
		}},
	}
	nodes := []struct{ pod, own, other string }{{pod1, part1, part2}, {pod2, part2, part1}}
	configs := map[string]string{
		"route":     "version: 1\nmetrics: {listen: \"\"}\nuplinks: [{interface: uplink}]\nrules: [{prefix: \"2001:db8:1::/64\", method: route}]\n",
		"no config": "version: 1\nmetrics: {listen: \"\"}\n",
	}
	for _, plugin := range plugins {
		for kind, config := range configs {
			for _, node := range nodes {
				t.Run(plugin.name+"/"+kind+"/"+node.pod, func(t *testing.T) {
					t.Parallel()
					n := harness.NewNetwork(t)
					harness.Must(t, n.Node.Route("::/0", conformance.RouterAddr.String(), harness.Uplink))
					plugin.routes(t, n.Node, node.pod, node.own, node.other)
					harness.Run(t, n.Node, "--config", harness.WriteConfig(t, config))
					a := newAsker(t, n)
					a.WantAnswer(addr(node.pod))
					var answered []string
					for _, target := range []string{pod1, free1, pod2, free2} {
						within := harness.Quiet
						if target == node.pod {
							within = harness.Patience
						}
						if a.Ask(addr(target), within) != nil {
							answered = append(answered, target)
						}
					}
					if !slices.Equal(answered, []string{node.pod}) {
						t.Errorf("the node answers for %v, and has %s", answered, node.pod)
					}
				})
			}
		}
	}
}
