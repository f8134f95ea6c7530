// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// What lives behind the node's device in these tests: the node's own address there, an
// address at the far end, and the prefix of both, which is a part of the link's /64.
const (
	nearEnd   = "2001:db8:1:0:a::1"
	farEnd    = "2001:db8:1:0:a::5"
	farPrefix = "2001:db8:1:0:a::/112"
)

// echo answers ICMPv6 echo requests that the node sends into a tun device, as
// whoever lives at its far end.
func echo(t *testing.T, end *os.File) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 2000); ; {
			n, err := end.Read(b)
			if err != nil {
				return
			}
			if p := b[:n]; n >= 48 && p[0]>>4 == 6 && p[6] == 58 && p[40] == 128 {
				p[40] = 129
				src := slices.Clone(p[8:24])
				copy(p[8:24], p[24:40])
				copy(p[24:40], src)
				sum := uint32(binary.BigEndian.Uint16(p[42:])) + 0xffff - 0x100 // RFC 1624: the type is 1 more
				binary.BigEndian.PutUint16(p[42:], uint16(sum+sum>>16))
				_, _ = end.Write(p)
			}
		}
	}()
	t.Cleanup(func() {
		_ = end.Close()
		<-done
	})
}

// behindKind makes a device of a kind on the node, and somebody with the address
// farEnd behind it.
type behindKind struct {
	name string
	make func(t *testing.T, n *harness.Network)
}

// behindKinds are the kinds that the kernel of these tests can make. All others are
// the matter of the unit tests of package behind: to the program they differ by name.
func behindKinds() []behindKind {
	home := func(t *testing.T, far *lab.Namespace, dev string) {
		harness.Must(t, far.Address(dev, farEnd+"/112"))
		harness.Must(t, far.Route("::/0", nearEnd, dev))
	}
	return []behindKind{
		{"tun", func(t *testing.T, n *harness.Network) {
			echo(t, tunnel(t, n, "x0"))
		}},
		{"veth", func(t *testing.T, n *harness.Network) { home(t, device(t, n.Node, "x0"), "eth0") }},
		{"bridge", func(t *testing.T, n *harness.Network) {
			far := device(t, n.Node, "port")
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "x0"
			br := &netlink.Bridge{LinkAttrs: attrs}
			harness.Must(t, n.Node.Link.LinkAdd(br))
			port, err := n.Node.Link.LinkByName("port")
			harness.Must(t, err)
			harness.Must(t, n.Node.Link.LinkSetMaster(port, br))
			harness.Must(t, n.Node.Up("x0"))
			home(t, far, "eth0")
		}},
		{"macvlan", func(t *testing.T, n *harness.Network) { // on a device that is no uplink
			far := device(t, n.Node, "lower")
			lower, err := n.Node.Link.LinkByName("lower")
			harness.Must(t, err)
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.ParentIndex = "x0", lower.Attrs().Index
			harness.Must(t, n.Node.Link.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}))
			harness.Must(t, n.Node.Up("x0"))
			home(t, far, "eth0")
		}},
		{"vxlan", func(t *testing.T, n *harness.Network) { // between two hosts, over the uplink
			vxlan := func(ns *lab.Namespace, dev, name, local, remote string) {
				link, err := ns.Link.LinkByName(dev)
				harness.Must(t, err)
				attrs := netlink.NewLinkAttrs()
				attrs.Name = name
				harness.Must(t, ns.Link.LinkAdd(&netlink.Vxlan{
					LinkAttrs: attrs, VxlanId: 5, Port: 4789, VtepDevIndex: link.Attrs().Index,
					SrcAddr: netip.MustParseAddr(local).AsSlice(), Group: netip.MustParseAddr(remote).AsSlice(), UDP6ZeroCSumRx: true,
				}))
				harness.Must(t, ns.Up(name))
			}
			vxlan(n.Node, harness.Uplink, "x0", conformance.NodeAddr.String(), conformance.RouterAddr.String())
			// Whoever is there answers in the router's namespace by a device of its own.
			far := harness.Namespace(t)
			vxlan(n.Router, harness.RouterPort, "far", conformance.RouterAddr.String(), conformance.NodeAddr.String())
			harness.Must(t, n.Router.Move("far", far))
			harness.Must(t, far.Up("far"))
			home(t, far, "far")
		}},
	}
}

// behindConfigs are configurations that have to serve what is behind the device x0.
func behindConfigs(t *testing.T) []struct {
	name  string
	start func(n *harness.Network) *harness.Daemon
} {
	t.Helper()
	yaml := func(rule string) func(*harness.Network) *harness.Daemon {
		return func(n *harness.Network) *harness.Daemon {
			return harness.Start(t, n.Node, "--config", harness.WriteConfig(t, "version: 1\nuplinks: [{interface: uplink}]\nrules:\n  - {prefix: \""+farPrefix+"\", "+rule+"}\n"))
		}
	}
	conf := func(rule string) func(*harness.Network) *harness.Daemon {
		return func(n *harness.Network) *harness.Daemon {
			d, _ := asNDPPD(t, n, "proxy uplink {\n rule "+farPrefix+" {\n "+rule+"\n }\n}\n")
			return d
		}
	}
	return []struct {
		name  string
		start func(n *harness.Network) *harness.Daemon
	}{
		{"no configuration", func(n *harness.Network) *harness.Daemon { return harness.Start(t, n.Node) }},
		{"route", yaml("method: route")},
		{"route with devices", yaml("method: route, devices: [x0]")},
		{"probe", yaml("method: probe")},
		{"probe with devices", yaml("method: probe, devices: [x0]")},
		{"ndppd's auto", conf("auto")},
		{"ndppd's iface", conf("iface x0")},
	}
}

// stop ends a daemon, so that the next one can take its place.
func stop(d *harness.Daemon) {
	d.Signal(syscall.SIGTERM)
	d.Exit()
}

// ping sends echo requests from the router until one is answered.
func ping(t *testing.T, n *harness.Network, target netip.Addr) {
	t.Helper()
	p, err := n.Router.NewPinger(target)
	harness.Must(t, err)
	defer p.Close()
	harness.Eventually(t, "reply from "+target.String(), func() bool {
		_, err := p.Ping(context.Background(), time.Second)
		return err == nil
	})
}

// TestBehindEachKind asks from the router's end for what is behind a device of each
// kind, with each configuration that has to serve it, and pings through.
func TestBehindEachKind(t *testing.T) {
	t.Parallel()
	for _, kind := range behindKinds() {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			harness.Must(t, n.Node.Route("::/0", conformance.RouterAddr.String(), harness.Uplink))
			kind.make(t, n)
			harness.Must(t, n.Node.Address("x0", nearEnd+"/112"))
			for _, config := range behindConfigs(t) {
				t.Log(config.name)
				d := config.start(n)
				d.WaitReady()
				a := newAsker(t, n)
				a.WantAnswer(addr(farEnd))
				ping(t, n, addr(farEnd))
				a.WantAnswer(addr(nearEnd))
				ping(t, n, addr(nearEnd))
				a.WantSilence(addr("2001:db8:1:0:b::5"))
				stop(d)
			}
		})
	}
}

// TestNamedDevices holds a route rule to the devices that it names, while routes,
// names and devices change.
func TestNamedDevices(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	node := n.Node
	tunnel(t, n, "tun0")
	device(t, node, "pod1")
	d := harness.Run(t, node, "--config", harness.WriteConfig(t, "version: 1\nuplinks: [{interface: uplink}]\nrules:\n  - {prefix: \""+farPrefix+"\", method: route, devices: [tun0, uplink]}\n"))
	a := newAsker(t, n)
	far := addr(farEnd)
	add, del := node.Link.RouteAdd, node.Link.RouteDel
	steps := []struct {
		name string
		do   func()
		want bool
	}{
		{"another device", func() { route(t, node, farPrefix, "pod1", add) }, false},
		{"an address at the named one", func() { route(t, node, farEnd+"/128", "tun0", add) }, true},
		{"gone", func() { route(t, node, farEnd+"/128", "tun0", del) }, false},
		{"the named one is an uplink", func() { route(t, node, farEnd+"/128", harness.Uplink, add) }, false},
		{"back", func() { route(t, node, farEnd+"/128", harness.Uplink, del) }, false},
		{"the other device takes the name", func() {
			rename(t, n, "tun0", "tun1")
			rename(t, n, "pod1", "tun0")
		}, true},
		{"and gives it back", func() { rename(t, n, "tun0", "pod1") }, false},
		{"the route moves", func() {
			rename(t, n, "tun1", "tun0")
			route(t, node, farPrefix, "tun0", node.Link.RouteReplace)
		}, true},
	}
	for _, s := range steps {
		t.Log(s.name)
		s.do()
		if s.want {
			a.WantAnswer(far)
		} else {
			a.WantSilence(far)
		}
	}
	d.Wait("a ready uplink", func(s status.Status) bool { return s.Ready })
}

// TestNode takes a host with a device of a network plugin for a node of a cluster,
// whose tunnels lead to other nodes, until the configuration says otherwise.
func TestNode(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	harness.Must(t, n.Node.Route("::/0", conformance.RouterAddr.String(), harness.Uplink))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "x0"
	harness.Must(t, n.Node.Link.LinkAdd(&netlink.Vxlan{LinkAttrs: attrs, VxlanId: 5, Port: 4789}))
	harness.Must(t, n.Node.Up("x0"))
	route(t, n.Node, farPrefix, "x0", n.Node.Link.RouteAdd)
	path := harness.WriteConfig(t, "version: 1\nmetrics: {listen: \"\"}\n")
	d := harness.Run(t, n.Node, "--config", path)
	a := newAsker(t, n)
	a.WantAnswer(addr(farEnd))
	t.Log("a network plugin starts")
	device(t, n.Node, "cilium_host")
	a.WantSilence(addr(farEnd))
	if why := d.Explain(addr(farEnd)).Answers[0].Why; why != "the route leads through a tunnel (vxlan), whose far end is taken for another node of the cluster: a rule that names x0 in devices answers for what is routed there" {
		t.Errorf("explained by: %s", why)
	}
	t.Log("the configuration says that vxlan leads behind")
	harness.Rewrite(t, path, "version: 1\nmetrics: {listen: \"\"}\ndevices: [{kind: vxlan, leads: behind}]\n")
	d.Reload()
	a.WantAnswer(addr(farEnd))
	t.Log("and that x0 does not")
	harness.Rewrite(t, path, "version: 1\nmetrics: {listen: \"\"}\ndevices: [{kind: vxlan, leads: behind}, {name: \"x*\", leads: elsewhere}]\n")
	d.Reload()
	a.WantSilence(addr(farEnd))
	harness.Rewrite(t, path, "version: 1\nmetrics: {listen: \"\"}\n")
	d.Reload()
	t.Log("the plugin is gone")
	harness.Must(t, n.Node.Delete("cilium_host"))
	a.WantAnswer(addr(farEnd))
}
