// SPDX-License-Identifier: Apache-2.0

package behind_test

import (
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Devices of the tests.
const (
	lo = iota + 1
	uplink
	pod1
	pod2
	bridge
	wireguard
	ovn
	tun
	macvlan
	stacked
	ipvlan
	podMacvlan
)

func testRoutes() *hostwatch.Routes {
	r := hostwatch.NewRoutes()
	for _, d := range []hostwatch.Device{
		{Index: lo, Name: "lo", Loopback: true},
		{Index: uplink, Name: "eth0", Kind: "device", Neighbors: true},
		{Index: pod1, Name: "pod1", Kind: "veth", Neighbors: true},
		{Index: pod2, Name: "pod2", Kind: "veth", Neighbors: true},
		{Index: bridge, Name: "br0", Kind: "bridge", Neighbors: true},
		{Index: wireguard, Name: "wg0", Kind: "wireguard"},
		{Index: ovn, Name: "ovn-k8s-mp0", Kind: "openvswitch", Neighbors: true},
		{Index: tun, Name: "tun0", Kind: "tun"},
		{Index: macvlan, Name: "shim0", Kind: "macvlan", Neighbors: true, Link: uplink},
		{Index: stacked, Name: "shim1", Kind: "macvtap", Neighbors: true, Link: macvlan},
		{Index: ipvlan, Name: "l3shim", Kind: "ipvlan", Link: uplink},
		{Index: podMacvlan, Name: "shim2", Kind: "macvlan", Neighbors: true, Link: pod1},
	} {
		r.SetDevice(d, false)
	}
	return r
}

// message returns one about a route in the main table.
func message(prefix string, paths ...hostwatch.Path) hostwatch.Route {
	return hostwatch.Route{Table: unix.RT_TABLE_MAIN, Prefix: netip.MustParsePrefix(prefix), Whole: len(paths) > 1, Paths: paths}
}

func dev(index int32) hostwatch.Path {
	return hostwatch.Path{Metric: 1024, Kind: unix.RTN_UNICAST, Index: index}
}

func via(gateway string, index int32) hostwatch.Path {
	p := dev(index)
	p.Gateway = netip.MustParseAddr(gateway)
	return p
}

func typed(kind uint8) hostwatch.Path { return hostwatch.Path{Metric: 1024, Kind: kind, Index: lo} }

func TestJudge(t *testing.T) {
	t.Parallel()
	const target = "2001:db8:1::5"
	other := func(table uint32, r hostwatch.Route) hostwatch.Route {
		r.Table = table
		return r
	}
	better := func(p hostwatch.Path) hostwatch.Path {
		p.Metric = 1
		return p
	}
	tests := []struct {
		name     string
		routes   []hostwatch.Route
		behind   bool
		neighbor bool
		route    string
		why      string
	}{
		{name: "no route", why: "the kernel has no route for the address"},
		{name: "device", routes: []hostwatch.Route{message(target+"/128", dev(pod1))}, behind: true, neighbor: true, route: "2001:db8:1::5/128 dev pod1"},
		{name: "bridge", routes: []hostwatch.Route{message("2001:db8:1::/64", dev(bridge))}, behind: true, neighbor: true, route: "2001:db8:1::/64 dev br0"},
		{name: "point to point", routes: []hostwatch.Route{message("2001:db8:1::/64", dev(tun))}, behind: true, route: "2001:db8:1::/64 dev tun0"},
		{name: "router behind us", routes: []hostwatch.Route{message("2001:db8:1::/64", via("fe80::9", bridge))}, behind: true, route: "2001:db8:1::/64 via fe80::9 dev br0"},
		{name: "uplink", routes: []hostwatch.Route{message("2001:db8:1::/64", dev(uplink))}, route: "2001:db8:1::/64 dev eth0", why: "the route leads through an uplink"},
		{name: "tunnel", routes: []hostwatch.Route{message("2001:db8:1::/64", dev(wireguard))}, route: "2001:db8:1::/64 dev wg0", why: "the route leads through a tunnel (wireguard), whose far end is taken for another node of the cluster: a rule that names wg0 in devices answers for what is routed there"},
		{name: "plugin's device, on-link", routes: []hostwatch.Route{message("2001:db8:1::/64", dev(ovn))}, behind: true, neighbor: true, route: "2001:db8:1::/64 dev ovn-k8s-mp0"},
		{name: "plugin's device, next hop", routes: []hostwatch.Route{message("2001:db8:1::/64", via("fe80::9", ovn))}, route: "2001:db8:1::/64 via fe80::9 dev ovn-k8s-mp0", why: "the route leads through the network plugin's device to other nodes"},
		{name: "macvlan of the uplink", routes: []hostwatch.Route{message("2001:db8:1::/64", dev(macvlan))}, route: "2001:db8:1::/64 dev shim0", why: "the route leads through a device on the link of an uplink (macvlan)"},
		{name: "macvtap of a macvlan of the uplink", routes: []hostwatch.Route{message(target+"/128", dev(stacked))}, route: "2001:db8:1::5/128 dev shim1", why: "the route leads through a device on the link of an uplink (macvtap)"},
		{name: "next hop on a macvlan of the uplink", routes: []hostwatch.Route{message("2001:db8:1::/64", via("fe80::9", macvlan))}, route: "2001:db8:1::/64 via fe80::9 dev shim0", why: "the route leads through a device on the link of an uplink (macvlan)"},
		{name: "ipvlan in the mode l3", routes: []hostwatch.Route{message("2001:db8:1::/64", dev(ipvlan))}, behind: true, route: "2001:db8:1::/64 dev l3shim"},
		{name: "macvlan of a device behind us", routes: []hostwatch.Route{message("2001:db8:1::/64", dev(podMacvlan))}, behind: true, neighbor: true, route: "2001:db8:1::/64 dev shim2"},
		{name: "unknown device", routes: []hostwatch.Route{message("2001:db8:1::/64", dev(99))}, route: "2001:db8:1::/64 dev 99", why: "the route leads through a device that is unknown"},
		{name: "loopback interface", routes: []hostwatch.Route{message("2001:db8:1::/64", dev(lo))}, route: "2001:db8:1::/64 dev lo", why: "the route leads to this node itself, which has no such address: a route of the type local (ip -6 route add local) gives it the prefix"},
		{name: "default", routes: []hostwatch.Route{message("::/0", dev(pod1))}, route: "default dev pod1", why: "a default route never counts"},
		{name: "half of a default route", routes: []hostwatch.Route{message("2000::/3", dev(tun))}, route: "2000::/3 dev tun0", why: "a route as wide as 2000::/3 is a part of a default route, which never counts"},
		{name: "wide", routes: []hostwatch.Route{message("2000::/8", dev(tun))}, behind: true, route: "2000::/8 dev tun0"},
		{name: "blackhole", routes: []hostwatch.Route{message("2001:db8:1::/64", typed(unix.RTN_BLACKHOLE))}, route: "blackhole 2001:db8:1::/64 dev lo", why: "the route is of the type blackhole"},
		{name: "throw", routes: []hostwatch.Route{message("2001:db8:1::/64", typed(unix.RTN_THROW))}, route: "throw 2001:db8:1::/64 dev lo", why: "the route is of the type throw"},
		{name: "encapsulated", routes: []hostwatch.Route{message("2001:db8:1::/64", hostwatch.Path{Kind: unix.RTN_UNICAST, Index: pod1, Encap: true})}, route: "2001:db8:1::/64 dev pod1", why: "the route encapsulates packets for another node"},
		{name: "next hop object that is not shown", routes: []hostwatch.Route{message("2001:db8:1::/64", hostwatch.Path{Kind: unix.RTN_UNICAST})}, route: "2001:db8:1::/64", why: "the route has a next hop object that the kernel does not show: set net.ipv4.nexthop_compat_mode to 1"},
		{name: "more specific to the uplink", routes: []hostwatch.Route{message("2001:db8:1::/64", dev(pod1)), message(target+"/128", dev(uplink))}, route: "2001:db8:1::5/128 dev eth0", why: "the route leads through an uplink"},
		{name: "better metric", routes: []hostwatch.Route{message(target+"/128", dev(uplink)), message(target+"/128", better(dev(pod1)))}, behind: true, neighbor: true, route: "2001:db8:1::5/128 dev pod1"},
		{name: "same metric, first one behind us", routes: []hostwatch.Route{message(target+"/128", dev(pod1)), message(target+"/128", typed(unix.RTN_BLACKHOLE))}, behind: true, neighbor: true, route: "2001:db8:1::5/128 dev pod1"},
		{name: "same metric, second one back", routes: []hostwatch.Route{message(target+"/128", dev(pod1)), message(target+"/128", dev(uplink))}, route: "2001:db8:1::5/128 dev eth0", why: "the route leads through an uplink"},
		{name: "same metric, next hops first", routes: []hostwatch.Route{message(target+"/128", via("fe80::1", pod1), via("fe80::2", pod2)), message(target+"/128", typed(unix.RTN_BLACKHOLE))}, behind: true, route: "2001:db8:1::5/128 via fe80::1 dev pod1 via fe80::2 dev pod2"},
		{name: "all next hops behind us", routes: []hostwatch.Route{message(target+"/128", via("fe80::1", pod1), via("fe80::2", pod2))}, behind: true, route: "2001:db8:1::5/128 via fe80::1 dev pod1 via fe80::2 dev pod2"},
		{name: "one of two through the uplink", routes: []hostwatch.Route{message(target+"/128", via("fe80::1", pod1), via("fe80::2", uplink))}, route: "2001:db8:1::5/128 via fe80::2 dev eth0", why: "the route leads through an uplink"},
		{name: "local table first", routes: []hostwatch.Route{message(target+"/128", dev(pod1)), other(unix.RT_TABLE_LOCAL, message("2001:db8:1::/64", typed(unix.RTN_LOCAL)))}, route: "local 2001:db8:1::/64 dev lo", why: "the address is one of lo, which hides its addresses from the link on purpose: a rule that names lo in devices answers for it"},
		{name: "a table that is not looked at", routes: []hostwatch.Route{other(100, message(target+"/128", dev(pod1)))}, why: "the kernel has no route for the address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := testRoutes()
			j := behind.New(r)
			j.SetPolicy(true, nil)
			j.SetUplinks([]int{uplink})
			for _, msg := range tt.routes {
				r.Apply(msg, 0, false)
			}
			e := j.Explain(netip.MustParseAddr(target))
			if e.Behind != tt.behind || e.Route != tt.route || e.Why != tt.why {
				t.Errorf("explained as %+v", e)
			}
			// The entries, taken together, say the same.
			var s rules.Store
			s.Replace(rules.Kernel, j.All())
			entry, ok := s.Entry(rules.Kernel, netip.MustParseAddr(target))
			if entry.Behind != tt.behind || entry.Neighbor != tt.neighbor || ok == (tt.route == "") {
				t.Errorf("entry is %+v, %t", entry, ok)
			}
			for _, msg := range tt.routes {
				r.Apply(msg, 0, true)
			}
			for e := range j.All() {
				t.Errorf("left: %+v", e)
			}
		})
	}
}

// TestStackedUplink takes a macvlan for the uplink: what is on its lower device,
// and on other macvlans of that, is on the same link.
func TestStackedUplink(t *testing.T) {
	t.Parallel()
	j := behind.New(testRoutes())
	j.SetUplinks([]int{macvlan})
	tests := []struct {
		name  string
		index int32
		want  string
	}{
		{"itself", macvlan, "through an uplink"},
		{"its lower device", uplink, "through a device on the link of an uplink (device)"},
		{"one above it", stacked, "through a device on the link of an uplink (macvtap)"},
		{"another link", pod1, ""},
		{"this node", lo, "to this node itself"},
		{"no device", 99, "through a device that is unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := j.WhyNotDevice(tt.index); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestSharesLink looks for the devices on the link of an uplink.
func TestSharesLink(t *testing.T) {
	t.Parallel()
	const port, member = 60, 61
	r := testRoutes()
	r.SetDevice(hostwatch.Device{Index: port, Name: "port", Kind: "veth", Neighbors: true, Master: bridge}, false)
	r.SetDevice(hostwatch.Device{Index: 62, Name: "vrf0", Kind: "vrf"}, false)
	r.SetDevice(hostwatch.Device{Index: member, Name: "member", Kind: "veth", Neighbors: true, Master: 62}, false)
	j := behind.New(r)
	tests := []struct {
		uplink    string
		index     int32
		same, own bool
	}{
		{"eth0", uplink, true, true},
		{"eth0", macvlan, true, false},
		{"eth0", stacked, true, false},
		{"eth0", ipvlan, false, false}, // which has no neighbor discovery
		{"eth0", pod1, false, false},
		{"eth0", podMacvlan, false, false},
		{"shim0", uplink, true, false},
		{"br0", port, true, false},
		{"eth0", port, false, false},
		{"vrf0", member, false, false},
		{"gone", uplink, false, false},
		{"", uplink, false, false}, // with an uplink eth0
		{"", macvlan, true, false},
		{"", pod1, false, false},
		{"gone", 0, false, false},
	}
	j.SetUplinks([]int{uplink})
	for _, tt := range tests {
		if same, own := j.SharesLink(tt.uplink, tt.index); same != tt.same || own != tt.own {
			t.Errorf("%s and device %d: %t, %t", tt.uplink, tt.index, same, own)
		}
	}
	j.SetUplinks([]int{bridge})
	if why := j.WhyNotDevice(port); why != "through a device on the link of an uplink (veth)" {
		t.Errorf("port of an uplink: %q", why)
	}
}

// TestLinkLocal explains an address that each device has a route to.
func TestLinkLocal(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	r.Apply(message("fe80::/64", dev(pod1)), 0, false)
	r.Apply(message("::/0", dev(uplink)), 0, false)
	j := behind.New(r)
	const why = "a link-local or multicast address belongs to one link, and is never behind this node"
	for _, a := range []string{"fe80::1", "ff02::1"} {
		if e := j.Explain(netip.MustParseAddr(a)); e.Behind || e.Why != why || e.Route != "" {
			t.Errorf("%s is explained as %+v", a, e)
		}
	}
	if j.LeadsBehind(netip.MustParsePrefix("fe80::/64")) {
		t.Error("link-local addresses are behind")
	}
}

func TestSetUplinks(t *testing.T) {
	t.Parallel()
	j := behind.New(testRoutes())
	for _, step := range []struct {
		indices []int
		changed bool
	}{{nil, false}, {[]int{0}, false}, {[]int{uplink, 0}, true}, {[]int{uplink}, false}, {nil, true}} {
		if got := j.SetUplinks(step.indices); got != step.changed {
			t.Errorf("uplinks %v: changed is %t", step.indices, got)
		}
	}
}

// TestUplinkToCome knows the routes of an uplink that is created anew for what
// they are before anybody has named its index.
func TestUplinkToCome(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	j := behind.New(r)
	if !j.SetUplinks(nil, "eth1") || j.SetUplinks(nil, "eth1") {
		t.Error("changed is wrong")
	}
	const eth1, shim = 99, 100
	r.SetDevice(hostwatch.Device{Index: eth1, Name: "eth1", Kind: "veth", Neighbors: true}, false)
	r.SetDevice(hostwatch.Device{Index: shim, Name: "shim9", Kind: "macvlan", Neighbors: true, Link: eth1}, false)
	for prefix, index := range map[string]int32{"2001:db8:1::/64": eth1, "2001:db8:2::/64": shim} {
		r.Apply(message(prefix, dev(index)), 0, false)
		if e, ok := j.Entry(netip.MustParsePrefix(prefix)); !ok || e.Behind {
			t.Errorf("%s: entry is %+v", prefix, e)
		}
	}
}

func TestLeads(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	r.Apply(message("::/0", via("fe80::1", uplink)), 0, false)
	r.Apply(message("2001:db8:1::/64", dev(uplink)), 0, false)
	r.Apply(message("2001:db8:1::5/128", dev(pod1)), 0, false)
	r.Apply(message("2001:db8:2::/48", dev(pod1)), 0, false)
	r.Apply(message("2001:db8:3::/64", dev(macvlan)), 0, false)
	j := behind.New(r)
	j.SetUplinks([]int{uplink})
	tests := []struct {
		prefix       string
		back, behind bool
	}{
		{"2001:db8:1::/64", true, true},
		{"2001:db8:1::1:0/112", true, false},
		{"2001:db8:1::5/128", false, true},
		{"2001:db8:2:3::/64", false, true},
		{"2001:db8:3::/64", true, false},
		{"2001:db8:ffff::/64", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.prefix, func(t *testing.T) {
			t.Parallel()
			p := netip.MustParsePrefix(tt.prefix)
			if back, behind := j.LeadsBack(p), j.LeadsBehind(p); back != tt.back || behind != tt.behind {
				t.Errorf("back %t, behind %t", back, behind)
			}
		})
	}
	if got := j.OnLink(uplink); !slices.Equal(got, []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/64")}) {
		t.Errorf("on-link are %s", got)
	}
}
