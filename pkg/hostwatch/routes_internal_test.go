// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
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
	for _, d := range []Device{
		{Index: lo, Name: "lo", Loopback: true},
		{Index: uplink, Name: "eth0", Kind: "device", Neighbors: true},
		{Index: pod1, Name: "pod1", Kind: "veth", Neighbors: true},
		{Index: pod2, Name: "pod2", Kind: "veth", Neighbors: true},
		{Index: bridge, Name: "br0", Kind: "bridge", Neighbors: true},
		{Index: wireguard, Name: "wg0", Kind: "wireguard"},
		{Index: ovn, Name: "ovn-k8s-mp0", Kind: "openvswitch", Neighbors: true},
		{Index: tun, Name: "tun0", Kind: "tun"},
	} {
		r.SetDevice(d, false)
	}
	return r
}

// message returns one about a route in the main table.
func message(prefix string, paths ...Path) Route {
	return Route{Table: unix.RT_TABLE_MAIN, Prefix: netip.MustParsePrefix(prefix), Whole: len(paths) > 1, Paths: paths}
}

func dev(index int32) Path { return Path{Metric: 1024, Kind: unix.RTN_UNICAST, Index: index} }

func via(gateway string, index int32) Path {
	p := dev(index)
	p.Gateway = netip.MustParseAddr(gateway)
	return p
}

func typed(kind uint8) Path { return Path{Metric: 1024, Kind: kind, Index: lo} }

// decide returns what the tables say about a prefix.
func decide(r *Routes, p string) (d Decision, ok bool) {
	r.Read(func(t Tables) { d, ok = t.Decide(netip.MustParsePrefix(p)) })
	return d, ok
}

// count returns how many routes the kernel gets to see.
func count(r *Routes) (n int) {
	r.Read(func(t Tables) {
		for range t.Decisions() {
			n++
		}
	})
	return n
}

// TestShadow tells of prefixes that another table's route hides or shows.
func TestShadow(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	pod := netip.MustParsePrefix("2001:db8:1::5/128")
	r.Apply(message(pod.String(), dev(pod1)), 0, false)
	wide := message("2001:db8:1::/64", typed(unix.RTN_LOCAL))
	wide.Table = unix.RT_TABLE_LOCAL
	for _, gone := range []bool{false, true} {
		if changed, _ := r.Apply(wide, 0, gone); !slices.Contains(changed, pod) {
			t.Errorf("gone %t: changed %s", gone, changed)
		}
		if d, ok := decide(r, pod.String()); !ok || (d.Prefix == pod) != gone {
			t.Errorf("gone %t: decided %+v, %t", gone, d, ok)
		}
		if n := count(r); n != 1 {
			t.Errorf("gone %t: %d routes are seen", gone, n)
		}
		r.Read(func(tables Tables) {
			for d := range tables.Within(netip.MustParsePrefix("2001:db8::/32")) {
				if (d.Prefix == pod) != gone {
					t.Errorf("gone %t: within is %+v", gone, d)
				}
			}
		})
	}
}

// TestReplace follows what the kernel tells when a route is replaced.
func TestReplace(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	const p = "2001:db8:1::5/128"
	first := func(want int32) {
		t.Helper()
		if d, ok := decide(r, p); !ok || d.Paths[0].Index != want {
			t.Errorf("decided %+v", d)
		}
	}
	r.Apply(message(p, dev(pod1)), 0, false)
	r.Apply(message(p, dev(uplink)), unix.NLM_F_REPLACE, false)
	first(uplink)
	// A plain route stays beside one with next hops, and the kernel uses it.
	r.Apply(message(p, via("fe80::1", pod1), via("fe80::2", pod2)), 0, false)
	first(uplink)
	// Of plain routes it uses the first, and a new one takes the place of that.
	r.Apply(message(p, dev(pod2)), 0, false)
	r.Apply(message(p, dev(pod1)), unix.NLM_F_REPLACE, false)
	first(pod1)
	r.Apply(message(p, dev(uplink)), unix.NLM_F_REPLACE, false)
	r.Apply(message(p, dev(pod2)), 0, true)
	r.Apply(message(p, dev(uplink)), 0, true)
	r.Apply(message(p, via("fe80::1", pod1), via("fe80::2", pod2)), 0, false) // appended: the message has all
	first(pod1)
	r.Apply(message(p, via("fe80::1", pod1)), 0, true)
	first(pod2)
}

// TestUnsure tells which messages leave open what the kernel did.
func TestUnsure(t *testing.T) {
	t.Parallel()
	const p = "2001:db8:1::/64"
	anycast := func(index int32) Path { return Path{Kind: unix.RTN_ANYCAST, Index: index} }
	tests := []struct {
		name   string
		before []Route
		change Route
		flags  uint16
		want   bool
	}{
		{"new", nil, message(p, dev(pod1)), 0, false},
		{"on one more device", []Route{message(p, dev(pod1))}, message(p, dev(pod2)), 0, false},
		{"replaces the only one", []Route{message(p, dev(pod1))}, message(p, dev(pod2)), unix.NLM_F_REPLACE, false},
		{"replaces one of two", []Route{message(p, dev(pod1)), message(p, dev(pod2))}, message(p, dev(bridge)), unix.NLM_F_REPLACE, true},
		{"several next hops replace a plain one", []Route{message(p, dev(pod1))}, message(p, via("fe80::1", pod1), via("fe80::2", pod2)), unix.NLM_F_REPLACE, true},
		{"replaces one of two that do not forward", []Route{message(p, anycast(pod1)), message(p, anycast(pod2))}, message(p, anycast(pod1)), unix.NLM_F_REPLACE, false},
		{"link-local", []Route{message("fe80::/64", dev(pod1)), message("fe80::/64", dev(pod2))}, message("fe80::/64", dev(bridge)), unix.NLM_F_REPLACE, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := testRoutes()
			for _, msg := range tt.before {
				r.Apply(msg, 0, false)
			}
			if _, unsure := r.Apply(tt.change, tt.flags, false); unsure != tt.want {
				t.Errorf("unsure is %t", unsure)
			}
		})
	}
}

// TestDevices finds devices by name through renamings, and tells when a change of
// a device matters.
func TestDevices(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	r.SetDevice(Device{Index: pod1, Name: "new", Kind: "veth", Neighbors: true}, false)
	r.SetDevice(Device{Index: pod2, Name: "pod1", Kind: "veth", Neighbors: true}, false)
	for name, want := range map[string]int32{"new": pod1, "pod1": pod2, "pod2": 0, "eth0": uplink} {
		if got := r.Index(name); got != want {
			t.Errorf("index of %s is %d", name, got)
		}
	}
	r.SetDevice(Device{Index: pod1}, true)
	if r.Has(pod1) || r.Index("new") != 0 || r.Name(pod1) != "3" {
		t.Error("the device is not gone")
	}
	r.Apply(message("2001:db8:1::/64", via("fe80::1", pod2), via("fe80::2", bridge)), 0, false)
	several := message("2001:db8:2::/64", via("fe80::1", uplink), via("fe80::2", tun))
	several.Several = []int32{uplink, tun}
	r.Apply(several, 0, false)
	tests := []struct {
		name            string
		device          Device
		gone            bool
		changed, unsure bool
	}{
		{"no route leads there", Device{Index: wireguard, Name: "wg0", Kind: "other"}, false, false, false},
		{"other facts", Device{Index: bridge, Name: "br0", Kind: "vxlan", Neighbors: true}, false, true, false},
		{"up", Device{Index: bridge, Name: "br0", Kind: "vxlan", Neighbors: true, Up: true}, false, false, false},
		{"up, with several next hops", Device{Index: tun, Name: "tun0", Kind: "tun", Up: true}, false, false, true},
		{"gone, with several next hops", Device{Index: tun}, true, false, true},
		{"new", Device{Index: 99, Name: "veth9", Kind: "veth", Up: true}, false, false, false},
	}
	for _, tt := range tests { // in order
		if changed, unsure := r.SetDevice(tt.device, tt.gone); changed != tt.changed || unsure != tt.unsure {
			t.Errorf("%s: changed %t, unsure %t", tt.name, changed, unsure)
		}
	}
}

// TestNextHopObject ends a route of which the kernel names a part only.
func TestNextHopObject(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	whole, part := message("2001:db8:1::5/128", via("fe80::1", pod1), via("fe80::2", pod2)), message("2001:db8:1::5/128", via("fe80::2", pod2))
	whole.Object, part.Object = true, true
	r.Apply(whole, 0, false)
	r.Apply(part, 0, true)
	if n := count(r); n != 0 || len(r.hops)+len(r.onLink) != 0 {
		t.Errorf("left: %d routes, %v, %v", n, r.hops, r.onLink)
	}
}

// TestOtherTables guards the next hops of routes that are not followed.
func TestOtherTables(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	other := message("::/0", via("2001:db8:1::ff", uplink))
	for _, table := range []uint32{100, unix.RT_TABLE_MAIN | sourceTable} {
		other.Table = table
		if changed, _ := r.Apply(other, 0, false); changed != nil {
			t.Errorf("table %d: changed %s", table, changed)
		}
		if got := r.HopsOf(uplink); len(got.All) != 1 || len(got.Default) == 0 {
			t.Errorf("table %d: hops are %+v", table, got)
		}
		if got := r.DefaultDevices(); !slices.Equal(got, []DefaultDevice{{"eth0", true}}) {
			t.Errorf("table %d: devices are %v", table, got)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	if got := r.DefaultDevices(); got != nil {
		t.Errorf("without a default route: %v", got)
	}
	second := via("fe80::2", pod1)
	second.Metric = 2048
	r.Apply(message("::/0", second), 0, false)
	r.Apply(message("::/0", via("fe80::1", uplink)), 0, false)
	r.Apply(message("::/0", dev(wireguard)), 0, false)
	r.Apply(message("2001:db8:7::/48", via("2001:db8:1::77", uplink)), 0, false)
	r.Apply(message("2001:db8:1::/64", dev(uplink)), 0, false)
	r.Apply(message("fe80::/64", dev(uplink)), 0, false)
	if got := r.DefaultDevices(); !slices.Equal(got, []DefaultDevice{{"eth0", true}, {"wg0", false}, {"pod1", true}}) {
		t.Errorf("devices are %v", got)
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

// FuzzMessages feeds the parsers what no kernel sends.
func FuzzMessages(f *testing.F) {
	f.Add(policyMessage(10, 100, actionTable, attr(fraFwMark, []byte{1, 0, 0, 0})))
	f.Add([]byte{unix.AF_INET6, 128, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0, 8, 0, 4, 0, 3, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if msg, ok := parseRoute(b); ok {
			r := testRoutes()
			msg.Table = unix.RT_TABLE_MAIN
			r.Apply(msg, 0, false)
			r.Apply(msg, 0, true)
			if n := count(r); n != 0 || len(r.hops)+len(r.onLink) != 0 {
				t.Errorf("left: %d routes, %v, %v", n, r.hops, r.onLink)
			}
		}
		parsePolicy(b)
		split(b, func(*unix.NlMsghdr, []byte) {})
	})
}

// TestOutside finds the way to the internet, and says where it cannot tell.
func TestOutside(t *testing.T) {
	t.Parallel()
	other := func(table uint32, r Route) Route {
		r.Table = table
		return r
	}
	for _, tt := range []struct {
		name   string
		routes []Route
		want   Outside
	}{
		{"nothing", nil, Outside{Known: true}},
		{"on-link routes", []Route{message("2001:db8:1::/64", dev(uplink)), message("2001:db8:2::/64", dev(pod1))}, Outside{Known: true}},
		{"routes of pods", []Route{message("2001:db8:2::/64", via("fe80::2", pod1))}, Outside{Known: true}},
		{"a default route", []Route{message("::/0", via("fe80::1", uplink))}, Outside{Known: true, Route: "default via fe80::1 dev eth0", Devices: []int{uplink}}},
		{"all global addresses", []Route{message("2000::/3", via("fe80::1", uplink))}, Outside{Known: true, Route: "2000::/3 via fe80::1 dev eth0", Devices: []int{uplink}}},
		{"through a tunnel", []Route{message("::/0", dev(tun))}, Outside{Known: true, Route: "default dev tun0", Devices: []int{tun}}},
		{"unreachable", []Route{message("::/0", typed(unix.RTN_UNREACHABLE))}, Outside{Known: true, Route: "unreachable default dev lo"}},
		{"some of the internet", []Route{message("2400::/12", via("fe80::1", uplink))}, Outside{}},
		{"another table", []Route{other(100, message("::/0", via("fe80::1", pod1)))}, Outside{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := testRoutes()
			for _, msg := range tt.routes {
				r.Apply(msg, 0, false)
			}
			if diff := cmp.Diff(tt.want, r.Outside(uplink)); diff != "" {
				t.Error(diff)
			}
		})
	}
	r := testRoutes()
	r.SetDevice(Device{Index: 50, Name: "red", Kind: "vrf"}, false)
	r.SetDevice(Device{Index: uplink, Name: "eth0", Kind: "device", Neighbors: true, Master: 50}, false)
	if got := r.Outside(uplink); got.Known {
		t.Errorf("an uplink in a VRF: %+v", got)
	}
}

func TestVersionAtLeast(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]bool{
		"6.16.0": true, "6.18.44-fc-v657": true, "7.0.1": true, "6.16-rc1": true, "6.15.9-200.fc42": false, "5.19.0": false, "6.1.0-37-amd64": false, "": false, "six": false,
	} {
		if got := versionAtLeast(release, 6, 16); got != want {
			t.Errorf("%s: %t", release, got)
		}
	}
}
