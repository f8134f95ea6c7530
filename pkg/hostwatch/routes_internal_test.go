// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

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
)

func testRoutes() *Routes {
	r := NewRoutes()
	for i, d := range map[int32]device{
		lo:        {name: "lo", loopback: true},
		uplink:    {name: "eth0", kind: "device", neighbors: true},
		pod1:      {name: "pod1", kind: "veth", neighbors: true},
		pod2:      {name: "pod2", kind: "veth", neighbors: true},
		bridge:    {name: "br0", kind: "bridge", neighbors: true},
		wireguard: {name: "wg0", kind: "wireguard"},
		ovn:       {name: "ovn-k8s-mp0", kind: "openvswitch", neighbors: true},
		tun:       {name: "tun0", kind: "tun"},
	} {
		r.setDevice(i, d, false)
	}
	r.SetUplinks([]int{uplink})
	return r
}

// add returns a message about a route in the main table.
func message(prefix string, paths ...path) route {
	return route{table: unix.RT_TABLE_MAIN, prefix: netip.MustParsePrefix(prefix), whole: len(paths) > 1, paths: paths}
}

func dev(index int32) path { return path{metric: 1024, kind: unix.RTN_UNICAST, index: index} }

func via(gateway string, index int32) path {
	p := dev(index)
	p.gateway = netip.MustParseAddr(gateway)
	return p
}

func typed(kind uint8) path { return path{metric: 1024, kind: kind, index: lo} }

func TestRoutes(t *testing.T) {
	t.Parallel()
	const target = "2001:db8:1::5"
	other := func(table uint32, r route) route {
		r.table = table
		return r
	}
	better := func(p path) path {
		p.metric = 1
		return p
	}
	tests := []struct {
		name     string
		routes   []route
		behind   bool
		neighbor bool
		route    string
		why      string
	}{
		{name: "no route", why: "the kernel has no route for the address"},
		{name: "device", routes: []route{message(target+"/128", dev(pod1))}, behind: true, neighbor: true, route: "2001:db8:1::5/128 dev pod1"},
		{name: "bridge", routes: []route{message("2001:db8:1::/64", dev(bridge))}, behind: true, neighbor: true, route: "2001:db8:1::/64 dev br0"},
		{name: "point to point", routes: []route{message("2001:db8:1::/64", dev(tun))}, behind: true, route: "2001:db8:1::/64 dev tun0"},
		{name: "router behind us", routes: []route{message("2001:db8:1::/64", via("fe80::9", bridge))}, behind: true, route: "2001:db8:1::/64 via fe80::9 dev br0"},
		{name: "uplink", routes: []route{message("2001:db8:1::/64", dev(uplink))}, route: "2001:db8:1::/64 dev eth0", why: "the route leads through an uplink"},
		{name: "tunnel", routes: []route{message("2001:db8:1::/64", dev(wireguard))}, route: "2001:db8:1::/64 dev wg0", why: "the route leads through a tunnel (wireguard)"},
		{name: "plugin's device, on-link", routes: []route{message("2001:db8:1::/64", dev(ovn))}, behind: true, neighbor: true, route: "2001:db8:1::/64 dev ovn-k8s-mp0"},
		{name: "plugin's device, next hop", routes: []route{message("2001:db8:1::/64", via("fe80::9", ovn))}, route: "2001:db8:1::/64 via fe80::9 dev ovn-k8s-mp0", why: "the route leads through the network plugin's device to other nodes"},
		{name: "unknown device", routes: []route{message("2001:db8:1::/64", dev(99))}, route: "2001:db8:1::/64 dev 99", why: "the route leads through a device that is unknown"},
		{name: "default", routes: []route{message("::/0", dev(pod1))}, route: "default dev pod1", why: "a default route never counts"},
		{name: "blackhole", routes: []route{message("2001:db8:1::/64", typed(unix.RTN_BLACKHOLE))}, route: "blackhole 2001:db8:1::/64 dev lo", why: "the route is of the type blackhole"},
		{name: "throw", routes: []route{message("2001:db8:1::/64", typed(unix.RTN_THROW))}, route: "throw 2001:db8:1::/64 dev lo", why: "the route is of the type throw"},
		{name: "encapsulated", routes: []route{message("2001:db8:1::/64", path{kind: unix.RTN_UNICAST, index: pod1, encap: true})}, route: "2001:db8:1::/64 dev pod1", why: "the route encapsulates packets for another node"},
		{name: "next hop object that is not shown", routes: []route{message("2001:db8:1::/64", path{kind: unix.RTN_UNICAST})}, route: "2001:db8:1::/64", why: "the route has a next hop object that the kernel does not show: set net.ipv4.nexthop_compat_mode to 1"},
		{name: "more specific to the uplink", routes: []route{message("2001:db8:1::/64", dev(pod1)), message(target+"/128", dev(uplink))}, route: "2001:db8:1::5/128 dev eth0", why: "the route leads through an uplink"},
		{name: "better metric", routes: []route{message(target+"/128", dev(uplink)), message(target+"/128", better(dev(pod1)))}, behind: true, neighbor: true, route: "2001:db8:1::5/128 dev pod1"},
		{name: "same metric, first one behind us", routes: []route{message(target+"/128", dev(pod1)), message(target+"/128", typed(unix.RTN_BLACKHOLE))}, behind: true, neighbor: true, route: "2001:db8:1::5/128 dev pod1"},
		{name: "same metric, second one back", routes: []route{message(target+"/128", dev(pod1)), message(target+"/128", dev(uplink))}, route: "2001:db8:1::5/128 dev eth0", why: "the route leads through an uplink"},
		{name: "same metric, next hops first", routes: []route{message(target+"/128", via("fe80::1", pod1), via("fe80::2", pod2)), message(target+"/128", typed(unix.RTN_BLACKHOLE))}, behind: true, route: "2001:db8:1::5/128 via fe80::1 dev pod1 via fe80::2 dev pod2"},
		{name: "all next hops behind us", routes: []route{message(target+"/128", via("fe80::1", pod1), via("fe80::2", pod2))}, behind: true, route: "2001:db8:1::5/128 via fe80::1 dev pod1 via fe80::2 dev pod2"},
		{name: "one of two through the uplink", routes: []route{message(target+"/128", via("fe80::1", pod1), via("fe80::2", uplink))}, route: "2001:db8:1::5/128 via fe80::2 dev eth0", why: "the route leads through an uplink"},
		{name: "local table first", routes: []route{message(target+"/128", dev(pod1)), other(unix.RT_TABLE_LOCAL, message("2001:db8:1::/64", typed(unix.RTN_LOCAL)))}, route: "local 2001:db8:1::/64 dev lo", why: "the route is of the type local"},
		{name: "a table that is not looked at", routes: []route{other(100, message(target+"/128", dev(pod1)))}, why: "the kernel has no route for the address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := testRoutes()
			for _, msg := range tt.routes {
				r.apply(msg, 0, false)
			}
			e := r.Explain(netip.MustParseAddr(target))
			if e.Behind != tt.behind || e.Route != tt.route || e.Why != tt.why {
				t.Errorf("explained as %+v", e)
			}
			// The entries, taken together, say the same.
			var s rules.Store
			s.Replace(rules.Kernel, r.All())
			entry, ok := s.Entry(rules.Kernel, netip.MustParseAddr(target))
			if entry.Behind != tt.behind || entry.Neighbor != tt.neighbor || ok == (tt.route == "") {
				t.Errorf("entry is %+v, %t", entry, ok)
			}
			for _, msg := range tt.routes {
				r.apply(msg, 0, true)
			}
			for e := range r.All() {
				t.Errorf("left: %+v", e)
			}
			if len(r.hops)+len(r.onLink) != 0 {
				t.Errorf("left: %v %v", r.hops, r.onLink)
			}
		})
	}
}

// TestShadow tells of prefixes that another table's route hides or shows.
func TestShadow(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	pod := netip.MustParsePrefix("2001:db8:1::5/128")
	r.apply(message(pod.String(), dev(pod1)), 0, false)
	wide := message("2001:db8:1::/64", typed(unix.RTN_LOCAL))
	wide.table = unix.RT_TABLE_LOCAL
	for _, gone := range []bool{false, true} {
		if changed, _ := r.apply(wide, 0, gone); !slices.Contains(changed, pod) {
			t.Errorf("gone %t: changed %s", gone, changed)
		}
		if _, ok := r.Entry(pod); ok != gone {
			t.Errorf("gone %t: there is an entry: %t", gone, ok)
		}
	}
}

// TestReplace follows what the kernel tells when a route is replaced.
func TestReplace(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	const p = "2001:db8:1::5/128"
	r.apply(message(p, dev(pod1)), 0, false)
	r.apply(message(p, dev(uplink)), unix.NLM_F_REPLACE, false)
	if e, _ := r.Entry(netip.MustParsePrefix(p)); e.Behind || e.Device != uplink {
		t.Errorf("entry is %+v", e)
	}
	// A plain route stays beside one with next hops, and the kernel uses it.
	r.apply(message(p, via("fe80::1", pod1), via("fe80::2", pod2)), 0, false)
	if e, _ := r.Entry(netip.MustParsePrefix(p)); e.Behind {
		t.Errorf("entry is %+v", e)
	}
	// Of plain routes it uses the first, and a new one takes the place of that.
	r.apply(message(p, dev(pod2)), 0, false)
	r.apply(message(p, dev(pod1)), unix.NLM_F_REPLACE, false)
	if e, _ := r.Entry(netip.MustParsePrefix(p)); !e.Behind || e.Device != pod1 {
		t.Errorf("entry is %+v", e)
	}
	r.apply(message(p, dev(uplink)), unix.NLM_F_REPLACE, false)
	r.apply(message(p, dev(pod2)), 0, true)
	r.apply(message(p, dev(uplink)), 0, true)
	r.apply(message(p, via("fe80::1", pod1), via("fe80::2", pod2)), 0, false) // appended: the message has all
	if e, _ := r.Entry(netip.MustParsePrefix(p)); !e.Behind {
		t.Errorf("entry is %+v", e)
	}
	r.apply(message(p, via("fe80::1", pod1)), 0, true)
	if e, _ := r.Entry(netip.MustParsePrefix(p)); !e.Behind || e.Device != pod2 {
		t.Errorf("entry is %+v", e)
	}
}

// TestNextHopObject ends a route of which the kernel names a part only.
func TestNextHopObject(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	whole, part := message("2001:db8:1::5/128", via("fe80::1", pod1), via("fe80::2", pod2)), message("2001:db8:1::5/128", via("fe80::2", pod2))
	whole.object, part.object = true, true
	r.apply(whole, 0, false)
	r.apply(part, 0, true)
	for e := range r.All() {
		t.Errorf("left: %+v", e)
	}
}

// TestOtherTables guards the next hops of routes that are not followed.
func TestOtherTables(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	other := message("::/0", via("2001:db8:1::ff", uplink))
	for _, table := range []uint32{100, unix.RT_TABLE_MAIN | sourceTable} {
		other.table = table
		if changed, _ := r.apply(other, 0, false); changed != nil {
			t.Errorf("table %d: changed %s", table, changed)
		}
		if got := r.HopsOf(uplink); len(got.All) != 1 || len(got.Default) == 0 {
			t.Errorf("table %d: hops are %+v", table, got)
		}
		if got := r.DefaultDevices(); !slices.Equal(got, []string{"eth0"}) {
			t.Errorf("table %d: devices are %s", table, got)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	if got := r.DefaultDevices(); got != nil {
		t.Errorf("without a default route: %s", got)
	}
	second := via("fe80::2", pod1)
	second.metric = 2048
	r.apply(message("::/0", second), 0, false)
	r.apply(message("::/0", via("fe80::1", uplink)), 0, false)
	r.apply(message("::/0", dev(wireguard)), 0, false)
	r.apply(message("2001:db8:7::/48", via("2001:db8:1::77", uplink)), 0, false)
	r.apply(message("2001:db8:1::/64", dev(uplink)), 0, false)
	r.apply(message("fe80::/64", dev(uplink)), 0, false)
	if got := r.DefaultDevices(); !slices.Equal(got, []string{"eth0", "pod1"}) {
		t.Errorf("devices are %s", got)
	}
	got := r.HopsOf(uplink)
	want := Hops{
		All:     []netip.Addr{netip.MustParseAddr("2001:db8:1::77"), netip.MustParseAddr("fe80::1")},
		Default: []netip.Addr{netip.MustParseAddr("fe80::1")},
		OnLink:  []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/64")},
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// policyMessage is the body of RTM_NEWRULE.
func policyMessage(priority, table uint32, action byte, attrs ...[]byte) []byte {
	b := []byte{unix.AF_INET6, 0, 0, 0, byte(table), 0, 0, action, 0, 0, 0, 0}
	b = append(b, attr(fraPriority, binary.NativeEndian.AppendUint32(nil, priority))...)
	b = append(b, attr(fraSuppressPrefix, binary.NativeEndian.AppendUint32(nil, 1<<32-1))...)
	b = append(b, attr(fraProtocol, []byte{2})...)
	for _, a := range attrs {
		b = append(b, a...)
	}
	return b
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	u32 := func(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
	prefix := policyMessage(30, 102, actionTable, attr(fraDst, netip.MustParseAddr("2001:db8::").AsSlice()))
	prefix[1] = 32
	r := NewRoutes()
	r.setPolicy([][]byte{
		policyMessage(32766, 254, actionTable),
		policyMessage(0, 255, actionTable),
		policyMessage(10, 100, actionTable, attr(fraFwMark, u32(0x200))),
		policyMessage(15, 99, actionTable, attr(fraFwMask, u32(0xff))),
		policyMessage(20, 0, actionTable, attr(fraL3mdev, []byte{1})),
		prefix,
		policyMessage(40, 254, actionTable, attr(fraSuppressPrefix, u32(0))),
		policyMessage(50, 103, actionTable, attr(fraIifName, []byte("eth0\x00"))),
		policyMessage(60, 104, actionTable, attr(99, []byte{1})),
		policyMessage(70, 0, actionNop),
		policyMessage(80, 52, actionTable, attr(fraTable, u32(5200))),
		policyMessage(32767, 253, actionTable),
		policyMessage(40000, 0, 6),
		policyMessage(50000, 105, actionTable),
	})
	if want := []uint32{255, 5200, 254, 253}; !slices.Equal(r.order, want) {
		t.Errorf("tables are %v, want %v", r.order, want)
	}
	want := []string{
		"10: fwmark 0x200 lookup 100", "15: fwmark 0x0/0xff lookup 99", "20: l3mdev lookup 0", "30: to 2001:db8::/32 lookup 102", "40: suppress_prefixlength 0 lookup 254",
		"50: iif eth0 lookup 103", "60: selector 99 lookup 104", "40000: action 6",
	}
	if !slices.Equal(r.policy, want) {
		t.Errorf("not followed are %q", r.policy)
	}
}

// FuzzMessages feeds the parsers what no kernel sends.
func FuzzMessages(f *testing.F) {
	f.Add(policyMessage(10, 100, actionTable, attr(fraFwMark, []byte{1, 0, 0, 0})))
	f.Add([]byte{unix.AF_INET6, 128, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0, 8, 0, 4, 0, 3, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if msg, ok := parseRoute(b); ok {
			r := testRoutes()
			msg.table = unix.RT_TABLE_MAIN
			r.apply(msg, 0, false)
			r.apply(msg, 0, true)
			for e := range r.All() {
				t.Errorf("left: %+v", e)
			}
		}
		parsePolicy(b)
		split(b, func(*unix.NlMsghdr, []byte) {})
	})
}
