// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// routeRule answers for what the kernel has routes to.
const routeRule = "2001:db8:1:0:f::/80=route"

// device adds a veth behind the node, and returns its far end's namespace.
func device(t *testing.T, node *lab.Namespace, name string) *lab.Namespace {
	t.Helper()
	far := harness.Namespace(t)
	sum := crc32.ChecksumIEEE([]byte(name))
	mac := func(end byte) [6]byte {
		return [6]byte{2, end, byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
	}
	harness.Must(t, far.Veth("eth0", mac(1), node, name, mac(2)))
	return far
}

// route adds, replaces or deletes a route of the node.
func route(t *testing.T, n *lab.Namespace, prefix, dev string, change func(*netlink.Route) error, mods ...func(*netlink.Route)) {
	t.Helper()
	dst, err := netlink.ParseIPNet(prefix)
	harness.Must(t, err)
	r := &netlink.Route{Dst: dst}
	if dev != "" {
		link, err := n.Link.LinkByName(dev)
		harness.Must(t, err)
		r.LinkIndex = link.Attrs().Index
	}
	for _, mod := range mods {
		mod(r)
	}
	if err := change(r); err != nil {
		t.Fatalf("route %s to %s: %v", prefix, dev, err)
	}
}

// TestRoute changes the kernel's routes step by step, and asks for one address
// after each.
func TestRoute(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	node := n.Node
	for _, name := range []string{"pod1", "pod2", "antrea-gw0"} {
		device(t, node, name)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "vxlan0"
	harness.Must(t, node.Link.LinkAdd(&netlink.Vxlan{LinkAttrs: attrs, VxlanId: 5, Port: 4789}))
	harness.Must(t, node.Up("vxlan0"))
	harness.Run(t, node, "--interface", harness.Uplink, "--rule", routeRule)
	a := newAsker(t, n)

	const pod, around, wide = "2001:db8:1:0:f::5/128", "2001:db8:1:0:f::/112", "2001:db8:1:0:f::/80"
	add, del, replace := node.Link.RouteAdd, node.Link.RouteDel, node.Link.RouteReplace
	via := func(gw string) func(*netlink.Route) {
		return func(r *netlink.Route) { r.Gw = netip.MustParseAddr(gw).AsSlice() }
	}
	kind := func(k int) func(*netlink.Route) { return func(r *netlink.Route) { r.Type = k } }
	metric := func(m int) func(*netlink.Route) { return func(r *netlink.Route) { r.Priority = m } }
	table := func(id int) func(*netlink.Route) { return func(r *netlink.Route) { r.Table = id } }
	hops := func(devs ...string) func(*netlink.Route) {
		return func(r *netlink.Route) {
			for i, dev := range devs {
				link, err := node.Link.LinkByName(dev)
				harness.Must(t, err)
				r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: link.Attrs().Index, Gw: netip.MustParseAddr(fmt.Sprintf("fe80::%d", i+1)).AsSlice()})
			}
		}
	}
	steps := []struct {
		name   string
		prefix string
		dev    string
		change func(*netlink.Route) error
		mods   []func(*netlink.Route)
		want   bool
	}{
		{"a device behind us", pod, "pod1", add, nil, true},
		{"gone", pod, "pod1", del, nil, false},
		{"a wide route", wide, "pod1", add, nil, true},
		{"a hole in it, to the uplink", around, harness.Uplink, add, nil, false},
		{"an address in the hole", pod, "pod2", add, nil, true},
		{"moved to the uplink", pod, harness.Uplink, replace, nil, false},
		{"a better metric behind us", pod, "pod1", add, []func(*netlink.Route){metric(10)}, true},
		{"and without it", pod, "pod1", del, []func(*netlink.Route){metric(10)}, false},
		{"the uplink's route gone", pod, harness.Uplink, del, nil, false},
		{"the hole gone", around, harness.Uplink, del, nil, true},
		{"a tunnel", pod, "vxlan0", add, nil, false},
		{"the tunnel gone", pod, "vxlan0", del, nil, true},
		{"blackhole", pod, "", add, []func(*netlink.Route){kind(unix.RTN_BLACKHOLE)}, false},
		{"no blackhole", pod, "", del, []func(*netlink.Route){kind(unix.RTN_BLACKHOLE)}, true},
		{"unreachable", pod, "", add, []func(*netlink.Route){kind(unix.RTN_UNREACHABLE)}, false},
		{"reachable", pod, "", del, []func(*netlink.Route){kind(unix.RTN_UNREACHABLE)}, true},
		{"prohibit", pod, "", add, []func(*netlink.Route){kind(unix.RTN_PROHIBIT)}, false},
		{"allowed", pod, "", del, []func(*netlink.Route){kind(unix.RTN_PROHIBIT)}, true},
		{"throw", pod, "", add, []func(*netlink.Route){kind(unix.RTN_THROW)}, false},
		{"no throw", pod, "", del, []func(*netlink.Route){kind(unix.RTN_THROW)}, true},
		{"local", pod, "lo", add, []func(*netlink.Route){kind(unix.RTN_LOCAL), table(unix.RT_TABLE_LOCAL)}, false},
		{"no longer local", pod, "lo", del, []func(*netlink.Route){kind(unix.RTN_LOCAL), table(unix.RT_TABLE_LOCAL)}, true},
		{"the wide route gone", wide, "pod1", del, nil, false},
		{"several next hops behind us", wide, "", add, []func(*netlink.Route){hops("pod1", "pod2")}, true},
		{"one of them gone", wide, "pod2", del, []func(*netlink.Route){via("fe80::2")}, true},
		{"one through the uplink", wide, "", replace, []func(*netlink.Route){hops("pod1", harness.Uplink)}, false},
		{"that one gone", wide, harness.Uplink, del, []func(*netlink.Route){via("fe80::2")}, true},
		{"a next hop on a plugin's device", wide, "antrea-gw0", replace, []func(*netlink.Route){via("fe80::9")}, false},
		{"on-link on that device", wide, "antrea-gw0", replace, nil, true},
		{"nothing", wide, "antrea-gw0", del, nil, false},
		{"a default route", "::/0", "pod1", add, nil, false},
		{"another table", pod, "pod1", add, []func(*netlink.Route){table(100)}, false},
	}
	for _, s := range steps {
		route(t, node, s.prefix, s.dev, s.change, s.mods...)
		t.Log(s.name)
		if s.want {
			a.WantAnswer(conformance.Pod)
		} else {
			a.WantSilence(conformance.Pod)
		}
	}
	t.Log("a policy rule for that table")
	rule := netlink.NewRule()
	rule.Family, rule.Table, rule.Priority = netlink.FAMILY_V6, 100, 1000
	harness.Must(t, node.Link.RuleAdd(rule))
	a.WantAnswer(conformance.Pod)
	harness.Must(t, node.Link.RuleDel(rule))
	a.WantSilence(conformance.Pod)
	t.Log("a device that goes away with its route")
	route(t, node, pod, "pod2", add)
	a.WantAnswer(conformance.Pod)
	harness.Must(t, node.Delete("pod2"))
	a.WantSilence(conformance.Pod)
}

// TestTwoPodsBehindOneRoute is what ndppd's auto gets wrong.
func TestTwoPodsBehindOneRoute(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	device(t, n.Node, "br0")
	route(t, n.Node, "2001:db8:1:0:f::/80", "br0", n.Node.Link.RouteAdd)
	harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", routeRule)
	a := newAsker(t, n)
	for i := range 20 {
		target := conformance.PodPrefix.Addr().As16()
		target[15] = byte(i + 1)
		if a.Ask(netip.AddrFrom16(target), harness.Patience) == nil {
			t.Errorf("no answer for %s", netip.AddrFrom16(target))
		}
	}
}

// TestDiscovery starts the daemon without any configuration, as on a plain host.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	d := harness.Start(t, n.Node)
	d.Wait("start without an uplink", func(s status.Status) bool { return len(s.Uplinks) == 0 && !s.Ready })
	route(t, n.Node, "::/0", harness.Uplink, n.Node.Link.RouteAdd, func(r *netlink.Route) { r.Gw = conformance.RouterAddr.AsSlice() })
	d.WaitReady()
	a := newAsker(t, n)
	a.WantSilence(conformance.Pod)
	addPod(t, n, conformance.Pod)
	p, err := n.Router.NewPinger(conformance.Pod)
	harness.Must(t, err)
	defer p.Close()
	harness.Eventually(t, "reply of the pod", func() bool {
		_, err := p.Ping(context.Background(), time.Second)
		return err == nil
	})
	a.WantSilence(addr("2001:db8:1:0:f::6"))

	t.Log("the default route moves")
	far := harness.Namespace(t)
	harness.Must(t, far.Veth("eth0", conformance.RouterMAC, n.Node, "second", [6]byte{2, 0, 0, 0, 0, 0x22}))
	harness.Must(t, n.Node.Address("second", "2001:db8:2::1/64"))
	route(t, n.Node, "::/0", "second", n.Node.Link.RouteAdd, func(r *netlink.Route) {
		r.Gw, r.Priority = netip.MustParseAddr("2001:db8:2::ff").AsSlice(), 2048
	})
	d.Wait("two uplinks", func(s status.Status) bool { return len(s.Uplinks) == 2 && s.Rules == 2 })
	route(t, n.Node, "::/0", harness.Uplink, n.Node.Link.RouteDel, func(r *netlink.Route) { r.Gw = conformance.RouterAddr.AsSlice() })
	d.Wait("the other uplink alone", func(s status.Status) bool {
		return len(s.Uplinks) == 1 && s.Uplinks[0].Interface == "second" && s.Uplinks[0].State == "ready"
	})
	harness.Must(t, n.Node.Down("second"))
	d.Wait("the uplink to be waited for", func(s status.Status) bool {
		return len(s.Uplinks) == 1 && s.Uplinks[0].Interface == "second" && s.Uplinks[0].State == "down"
	})
}

// TestOverrun keeps the daemon from hearing of more routes than the kernel
// keeps for it.
func TestOverrun(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	device(t, n.Node, "pods")
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", routeRule)
	a := newAsker(t, n)
	route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteAdd)
	a.WantAnswer(conformance.Pod)
	d.Signal(syscall.SIGSTOP)
	const routes = 10_000
	last := conformance.PodPrefix.Addr().As16()
	for i := range routes {
		last[12], last[14], last[15] = 7, byte(i>>8), byte(i)
		route(t, n.Node, netip.AddrFrom16(last).String()+"/128", "pods", n.Node.Link.RouteAdd)
	}
	route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteDel)
	d.Signal(syscall.SIGCONT)
	a.WantAnswer(netip.AddrFrom16(last))
	a.WantSilence(conformance.Pod)
	_, metrics := d.Get("/metrics")
	if got := metric(t, metrics, `ndproxyd_table_entries{method="",source="kernel"}`); got < routes {
		t.Errorf("%g entries, want %d at least", got, routes)
	}
	drops := false
	for line := range strings.Lines(readNetlinkTable(t, n.Node)) {
		f := strings.Fields(line)
		drops = drops || len(f) > 8 && f[1] == "0" && f[8] != "0" && f[8] != "Drops"
	}
	if !drops {
		t.Error("the kernel had room for all events: this test shows nothing")
	}
}
