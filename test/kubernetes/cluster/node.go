// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// Network is one link with a router and the nodes of a cluster. Each node has a
// second device to the control plane.
type Network struct {
	tb      testing.TB
	Cluster *Cluster
	Switch  *lab.Namespace // a bridge; its ports are n1, n2 and so on
	Router  *lab.Namespace
	Nodes   []*Node
	devices int // of pods
	dials   sync.RWMutex
	gone    bool // dials find nothing any more
}

// Node is a node of a cluster.
type Node struct {
	*lab.Namespace
	tb   testing.TB
	Name string
	MAC  conformance.MAC
	// Addr is the address on the link, Management the one to the control plane.
	Addr, Management netip.Addr
	// Dir keeps the daemon's snapshot.
	Dir string
	// Containerd is the socket of the containerd that RunKubelet starts.
	Containerd string
	net        *Network
	// management is the control plane's end of the device there.
	management string
}

// NewNetwork connects a router and a number of nodes.
func NewNetwork(tb testing.TB, c *Cluster, nodes int) *Network {
	tb.Helper()
	n := &Network{tb: tb, Cluster: c, Switch: harness.Namespace(tb), Router: harness.Namespace(tb)}
	tb.Cleanup(func() {
		n.dials.Lock()
		defer n.dials.Unlock()
		n.gone = true
	})
	harness.Must(tb, n.Switch.Link.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "link"}}))
	harness.Must(tb, n.Switch.Up("link"))
	harness.Must(tb, n.Router.Veth(harness.RouterPort, conformance.RouterMAC, n.Switch, "router", conformance.MAC{2, 0, 0, 1, 0, 1}))
	plug(tb, n.Switch, "router", "link")
	harness.Must(tb, n.Router.Address(harness.RouterPort, conformance.RouterAddr.String()+"/64"))
	for i := range nodes {
		n.add(i + 1)
	}
	return n
}

// plug makes a device a port of a bridge.
func plug(tb testing.TB, ns *lab.Namespace, port, bridge string) {
	tb.Helper()
	p, err := ns.Link.LinkByName(port)
	harness.Must(tb, err)
	b, err := ns.Link.LinkByName(bridge)
	harness.Must(tb, err)
	harness.Must(tb, ns.Link.LinkSetMaster(p, b))
}

func (n *Network) add(i int) {
	n.tb.Helper()
	number := byte(i)
	node := &Node{
		Namespace: harness.Namespace(n.tb), tb: n.tb, Name: fmt.Sprintf("n%d", i), MAC: conformance.MAC{2, 0, 0, 2, 0, number},
		Addr: netip.MustParseAddr(fmt.Sprintf("2001:db8:1::1:%d", i)), Management: netip.MustParseAddr(fmt.Sprintf("fd00:aa::1:%d", i)),
		Dir: n.tb.TempDir(), net: n,
	}
	harness.Must(n.tb, node.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	harness.Must(n.tb, node.Veth(harness.Uplink, node.MAC, n.Switch, node.Name, conformance.MAC{2, 0, 0, 3, 0, number}))
	plug(n.tb, n.Switch, node.Name, "link")
	harness.Must(n.tb, node.Address(harness.Uplink, node.Addr.String()+"/64"))
	harness.Must(n.tb, node.Route("::/0", conformance.RouterAddr.String(), harness.Uplink))
	n.Cluster.ports++
	port := fmt.Sprintf("m%d", n.Cluster.ports)
	harness.Must(n.tb, node.Veth("mgmt", conformance.MAC{2, 0, 0, 4, 0, number}, n.Cluster.NS, port, conformance.MAC{2, 0, 0, 5, 0, number}))
	plug(n.tb, n.Cluster.NS, port, "mgmt")
	node.management = port
	harness.Must(n.tb, node.Address("mgmt", node.Management.String()+"/64"))
	n.Nodes = append(n.Nodes, node)
	n.Cluster.CreateNode(node.Name, node.Addr)
}

// Unplug takes both links of the node, as if it had lost its power.
func (n *Node) Unplug() {
	n.tb.Helper()
	harness.Must(n.tb, n.net.Cluster.NS.Down(n.management))
	harness.Must(n.tb, n.net.Switch.Down(n.Name))
}

// Plug gives the links back.
func (n *Node) Plug() {
	n.tb.Helper()
	harness.Must(n.tb, n.net.Switch.Up(n.Name))
	harness.Must(n.tb, n.net.Cluster.NS.Up(n.management))
}

// CreateNode writes a Node as a kubelet does.
func (c *Cluster) CreateNode(name string, addr netip.Addr) *corev1.Node {
	c.tb.Helper()
	node, err := c.Client.CoreV1().Nodes().Create(context.Background(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
	}, metav1.CreateOptions{})
	harness.Must(c.tb, err)
	// A controller may have written the Node meanwhile, so that an update would be refused.
	patch, err := json.Marshal(map[string]any{"status": corev1.NodeStatus{
		Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: addr.String()}},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
	}})
	harness.Must(c.tb, err)
	node, err = c.Client.CoreV1().Nodes().Patch(context.Background(), node.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	harness.Must(c.tb, err)
	return node
}

// ConfigFor returns a configuration file with the kubernetes settings of tests,
// and more lines after them.
func (n *Node) ConfigFor(token, kubernetes, rules string) string {
	n.tb.Helper()
	return harness.WriteConfig(n.tb, fmt.Sprintf(`version: 1
uplinks: [{interface: uplink, consume_unicast: true, drop_loops: true}]
kubernetes:
  kubeconfig: %s
  node: %s
  namespace: default
  snapshot: %s
%s%s`, n.net.Cluster.Kubeconfig(token), n.Name, filepath.Join(n.Dir, "state.json"), kubernetes, rules))
}

// Asker returns an asker at the router.
func (n *Network) Asker() *harness.Asker {
	n.tb.Helper()
	return harness.NewAsker(n.tb, n.Router, harness.RouterPort)
}
