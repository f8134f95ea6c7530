// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"iter"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/firewall"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

func TestDestinations(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix
	entries := []rules.Entry{
		{Prefix: p("2001:db8:1:0:f::/80"), Behind: true, Forwarded: true, Device: 7},
		{Prefix: p("2001:db8:1::9/128"), Host: true, Device: 1},
		{Prefix: p("2001:db8:1::a/128"), Host: true, Hidden: true, Device: 1},
		{Prefix: p("2001:db8:1:0:e::/80"), Forwarded: true, Device: 8},
		{Prefix: p("2001:db8:2::/64"), Behind: true, Device: 7},
		{Prefix: p("2001:db8:1::/64"), Device: 2},
	}
	rs := []rules.Rule{
		{Prefix: p("2001:db8:1::/64"), Method: rules.Route},
		{Prefix: p("2001:db8:1:0:f:1::/96"), Method: rules.Static},
		{Prefix: p("2001:db8:1:0:f:2::/96"), Method: rules.Deny},
	}
	within := func(p netip.Prefix) iter.Seq[rules.Entry] {
		return slices.Values(slices.DeleteFunc(slices.Clone(entries), func(e rules.Entry) bool { return !e.Prefix.Overlaps(p) }))
	}
	show := func(rs []rules.Rule) string {
		var out []string
		for _, d := range destinations(within, rs, func(i int32) firewall.Device { return firewall.Device{Index: int(i)} }) {
			out = append(out, d.Prefix.String()+" "+string(rune('0'+d.Device.Index)))
		}
		return strings.Join(out, ", ")
	}
	if got, want := show(rs), "2001:db8:1:0:f::/80 7, 2001:db8:1:0:f:1::/96 7, 2001:db8:1::9/128 0"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	rs[0].Devices = []string{"wg0"}
	if got := show(rs); !strings.Contains(got, "2001:db8:1:0:e::/80 8") {
		t.Errorf("a device that is named: %s", got)
	}
}

// TestBeside has routes to devices on the uplink's link.
func TestBeside(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix
	entries := []rules.Entry{
		{Prefix: p("2001:db8:1:0:f::/80"), Device: 8},
		{Prefix: p("2001:db8:1:0:e::/80"), Behind: true, Device: 7},
		{Prefix: p("2001:db8:1:0:f::1/128"), Host: true, Device: 8},
		{Prefix: p("2001:db8:1::/64"), Device: 2},
	}
	within := func(netip.Prefix) iter.Seq[rules.Entry] { return slices.Values(entries) }
	shares := func(index int32) bool { return index == 8 }
	w := Way{Beside: beside(within, []rules.Rule{{Prefix: p("2001:db8:1:0:f:2::/96"), Method: rules.Route}}, shares)}
	if len(w.Beside) != 1 || w.Beside[0].Prefix != p("2001:db8:1:0:f:2::/96") || w.Beside[0].Device.Index != 8 {
		t.Errorf("got %v", w.Beside)
	}
}

// fakeFirewall drops packets to a prefix that arrive on a device, "" for any.
type fakeFirewall struct {
	drop       firewall.Drop
	in         string
	to, from   netip.Prefix
	newOnly    bool
	translated bool
	err        error
	chains     []string
	// masquerade is the chain that changes the source of packets from the prefix from,
	// and masquerades are chains that do so of some packets.
	masquerade  string
	masquerades []string
}

func (f fakeFirewall) Fate(p firewall.Packet) (firewall.Fate, error) {
	covers := func(q, p netip.Prefix) bool { return !q.IsValid() || p.IsValid() && q.Contains(p.Addr()) }
	drops := f.drop.Base != "" && (f.in == "" || f.in == p.In.Name) && covers(f.to, p.Destination) && covers(f.from, p.Source) &&
		(!f.newOnly || p.State == firewall.New)
	return firewall.Fate{Dropped: drops, Drop: f.drop, Translated: f.translated}, f.err
}

func (f fakeFirewall) Destinations() []netip.Prefix {
	return []netip.Prefix{f.to, netip.MustParsePrefix("2001:db8:9::/64")}
}

func (f fakeFirewall) Masquerade(p firewall.Packet) (string, error) {
	if f.from.IsValid() && !f.from.Contains(p.Source.Addr()) || p.Out.Name != "eth0" {
		return "", f.err
	}
	return f.masquerade, f.err
}

func (f fakeFirewall) Masquerades(_, name string) bool { return slices.Contains(f.masquerades, name) }

func (f fakeFirewall) Chain(_, name string) bool { return slices.Contains(f.chains, name) }

// uplinkOf returns an uplink with a route behind it, by the rules of one prefix.
func uplinkOf(method rules.Method, prefix string) Uplink {
	p := netip.MustParsePrefix
	u := Uplink{
		Config:   rules.Uplink{Interface: "eth0"},
		Link:     testLink("eth0", 2, "2001:db8:1::2/64", "fe80::2/64"),
		Forwards: true, OnLink: []netip.Prefix{p("2001:db8:1::/64")},
		Rules:  []rules.Rule{{Prefix: p(prefix), Method: method}},
		Behind: &fakeSystem{}, Routes: &fakeSystem{},
	}
	u.Way.Outside = hostwatch.Outside{Known: true, Devices: []int{2}}
	u.Way.IPsecKnown = true
	return u
}

// TestKept has the bridges that keep solicitations back.
func TestKept(t *testing.T) {
	t.Parallel()
	const wide, narrow = "2001:db8:1:0:f::/80", "2001:db8:1:0:f::/120"
	for _, tt := range []struct {
		name     string
		prefix   string
		mode     rules.MembershipMode
		snooping hostwatch.Snooping
		want     string // the remedy, "" for no finding
	}{
		{"no bridge", wide, rules.MembershipAuto, hostwatch.Snooping{}, ""},
		{"no querier", wide, rules.MembershipJoin, hostwatch.Snooping{Bridge: "br0"}, ""},
		{"all-multicast", wide, rules.MembershipAuto, hostwatch.Snooping{Bridge: "br0", Querier: true, AllMulticast: true}, ""},
		{"all-multicast, before Linux 6.16", wide, rules.MembershipAuto, hostwatch.Snooping{Bridge: "br0", Querier: true}, "ip link set dev br0 type bridge mcast_router 2"},
		{"groups that are joined", narrow, rules.MembershipAuto, hostwatch.Snooping{Bridge: "br0", Querier: true}, ""},
		{"groups only", wide, rules.MembershipJoin, hostwatch.Snooping{Bridge: "br0", Querier: true, AllMulticast: true}, "ip link set dev br0 type bridge mcast_router 2"},
		{"all-multicast only", narrow, rules.MembershipAllMulti, hostwatch.Snooping{Bridge: "br0", Querier: true}, "ip link set dev br0 type bridge mcast_router 2"},
		{"nothing", narrow, rules.MembershipNone, hostwatch.Snooping{Bridge: "br0", Querier: true, AllMulticast: true}, "ip link set dev br0 type bridge mcast_router 2"},
		{"a router", wide, rules.MembershipJoin, hostwatch.Snooping{Bridge: "br0", Querier: true, Router: true}, ""},
		{"behind a port", wide, rules.MembershipAuto, hostwatch.Snooping{Bridge: "br0", Port: "p1", Querier: true}, "ip link set dev p1 type bridge_slave mcast_router 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := uplinkOf(rules.Static, tt.prefix)
			u.Way.Destinations = []Destination{{Prefix: netip.MustParsePrefix(tt.prefix), Device: firewall.Device{Name: "wg0", Index: 7}, Forwards: true}}
			u.Config.Membership, u.Host.Snooping = tt.mode, tt.snooping
			got := ""
			for _, f := range Findings(u) {
				got += f.Remedy
			}
			if want := tt.want; want != "" && got != want+", or use rules of /120 and longer" || want == "" && got != "" {
				t.Errorf("got %q", got)
			}
		})
	}
}
