// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// linkOf returns a device of a namespace.
func linkOf(t *testing.T, ns *lab.Namespace, name string) netlink.Link {
	t.Helper()
	l, err := ns.Link.LinkByName(name)
	harness.Must(t, err)
	return l
}

// netlinkAddr is an address with a prefix of 64 bits on its link.
func netlinkAddr(a netip.Addr) *netlink.Addr {
	parsed, err := netlink.ParseAddr(a.String() + "/64")
	if err != nil {
		panic(err)
	}
	return parsed
}

// attach makes a device of the switch a port of one of its bridges: "link" has all nodes.
func attach(t *testing.T, n *cluster.Network, port, bridge string) {
	t.Helper()
	harness.Must(t, n.Switch.Link.LinkSetMaster(linkOf(t, n.Switch, port), linkOf(t, n.Switch, bridge)))
}

// detach cuts off the switch port of a node, without a loss of carrier.
func detach(t *testing.T, n *cluster.Network, node *cluster.Node) {
	t.Helper()
	harness.Must(t, n.Switch.Link.LinkSetNoMaster(linkOf(t, n.Switch, node.Name)))
}

// isolate isolates the ports of all nodes from each other, or no longer.
func isolate(t *testing.T, n *cluster.Network, on bool) {
	t.Helper()
	for _, node := range n.Nodes {
		harness.Must(t, n.Switch.Link.LinkSetIsolated(linkOf(t, n.Switch, node.Name), on))
	}
}

// readdress gives the uplink of a node another address instead of one.
func readdress(t *testing.T, node *cluster.Node, from, to netip.Addr) {
	t.Helper()
	link := linkOf(t, node.Namespace, harness.Uplink)
	harness.Must(t, node.Address(harness.Uplink, to.String()+"/64"))
	harness.Must(t, node.Link.AddrDel(link, netlinkAddr(from)))
}
