// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// unreachable is the ICMPv6 type of errors, RFC 4443 §3.1.
const unreachable = 1

// TestConsumeUnicast probes a known neighbor by unicast, from the router's
// link-local address. The kernel's error comes beside the answer, unless the
// daemon was told to see to it.
func TestConsumeUnicast(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	pods := device(t, n.Node, "pods")
	route(t, n.Node, conformance.PodPrefix.String(), "pods", n.Node.Link.RouteAdd)
	harness.Must(t, pods.Address("eth0", conformance.Pod.String()+"/80"))
	path := harness.WriteConfig(t, "")
	start := func(setting string) *harness.Daemon {
		harness.Rewrite(t, path, "version: 1\nuplinks: [{interface: uplink"+setting+"}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: static}]\n")
		return harness.Run(t, n.Node, "--config", path)
	}
	a := newAsker(t, n)
	inside := harness.OpenPort(t, pods, "eth0")
	// probe returns whether the answer came, and whether an error or a
	// forwarded solicitation did.
	probe := func(source string, within time.Duration) (answered, disturbed bool) {
		f := conformance.Solicitation(conformance.Pod)
		f.EtherDst, f.Dest, f.Source = conformance.NodeMAC, conformance.Pod, addr(source)
		a.Port.Send(f.Bytes())
		answered = a.Hear(conformance.Pod, within) != nil
		a.Port.Send(f.Bytes())
		errors := a.Port.Messages(unreachable, harness.Quiet)
		forwarded := inside.Solicitations(harness.Quiet, conformance.Pod)
		for _, f := range forwarded {
			disturbed = disturbed || f[21] != 255 // the kernel's own resolution has 255
		}
		return answered, disturbed || len(errors) > 0
	}
	sources := []string{conformance.RouterLinkLocal.String(), conformance.RouterAddr.String()}

	d := start("")
	for _, source := range sources {
		if answered, disturbed := probe(source, harness.Patience); !answered || !disturbed {
			t.Fatalf("%s: answered %t, disturbed by the kernel %t: this test shows nothing", source, answered, disturbed)
		}
	}
	d.Signal(syscall.SIGTERM)
	d.Exit()

	d = start(", consume_unicast: true")
	for _, source := range sources {
		if answered, disturbed := probe(source, harness.Patience); !answered || disturbed {
			t.Errorf("%s: answered %t, disturbed by the kernel %t", source, answered, disturbed)
		}
	}
	t.Log("the node's own address is still the kernel's")
	p, err := n.Router.NewPinger(conformance.NodeAddr)
	harness.Must(t, err)
	defer p.Close()
	if _, err := p.Ping(context.Background(), harness.Patience); err != nil {
		t.Error(err)
	}
	f := conformance.Solicitation(conformance.NodeAddr)
	f.EtherDst, f.Dest = conformance.NodeMAC, conformance.NodeAddr
	a.Port.Send(f.Bytes())
	if a.Hear(conformance.NodeAddr, harness.Patience) == nil {
		t.Error("the kernel no longer answers for its own address")
	}
	t.Log("nothing is left of it after a kill")
	d.Signal(syscall.SIGKILL)
	d.Exit()
	harness.Eventually(t, "kernel to send errors again", func() bool {
		_, disturbed := probe(sources[0], harness.Quiet)
		return disturbed
	})
	t.Log("and none of it without the privilege, but an answer")
	const uid = 65534
	d = harness.StartAs(t, n.Node, uid, []uintptr{capNetRaw}, harness.Binary(t), "run", "--config", publicConfig(t, path))
	d.WaitReady()
	if answered, disturbed := probe(sources[0], harness.Patience); !answered || !disturbed {
		t.Errorf("answered %t, disturbed %t", answered, disturbed)
	}
	harness.Eventually(t, "word about the privilege", func() bool { return contains(d.Log(), "needs the capability CAP_NET_ADMIN") })
}

// TestConsumeOnBridge has a bridge hand what it forwards to nftables, as Docker
// and Kubernetes do: a station behind the bridge still hears its own probes.
func TestConsumeOnBridge(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	harness.Must(t, n.Node.Sysctl("net/bridge/bridge-nf-call-ip6tables", "1"))
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = "br0", []byte{2, 0, 0, 0, 0, 0x10}
	harness.Must(t, n.Node.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	harness.Must(t, n.Node.Up("br0"))
	vm := device(t, n.Node, "vm")
	bridge, err := n.Node.Link.LinkByName("br0")
	harness.Must(t, err)
	for _, name := range []string{harness.Uplink, "vm"} {
		port, err := n.Node.Link.LinkByName(name)
		harness.Must(t, err)
		harness.Must(t, n.Node.Link.LinkSetMaster(port, bridge))
	}
	harness.Must(t, n.Node.Address("br0", "2001:db8:1::2/64"))
	harness.Must(t, vm.Address("eth0", conformance.Pod.String()+"/64"))
	harness.Run(t, n.Node, "--config", harness.WriteConfig(t,
		"version: 1\nuplinks: [{interface: br0, consume_unicast: true}]\nrules: [{prefix: '2001:db8:1::/64', method: route}]\n"))
	link, err := vm.Link.LinkByName("eth0")
	harness.Must(t, err)
	inside := harness.OpenPort(t, vm, "eth0")
	f := conformance.Solicitation(conformance.Pod)
	f.EtherDst, f.Dest = conformance.MAC(link.Attrs().HardwareAddr), conformance.Pod
	a := newAsker(t, n)
	harness.Eventually(t, "probe behind the bridge", func() bool {
		a.Port.Send(f.Bytes())
		return len(inside.Solicitations(50*time.Millisecond, conformance.Pod)) > 0
	})
	t.Log("the same frame for the bridge's own MAC address is consumed")
	f.EtherDst = conformance.MAC(attrs.HardwareAddr)
	a.Port.Send(f.Bytes())
	if got := a.Port.Messages(unreachable, harness.Quiet); len(got) > 0 {
		t.Errorf("the kernel sends % x", got)
	}
}
