// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/firewall"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

func TestWay(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix
	wg0 := firewall.Device{Name: "wg0", Index: 7}
	forward := firewall.Drop{Family: "ip6", Table: "filter", Base: "FORWARD", Hook: "forward", Policy: true}
	raw := firewall.Drop{Family: "ip6", Table: "raw", Base: "PREROUTING", Chain: "PREROUTING", Hook: "prerouting", Raw: true}
	with := func(d firewall.Drop, change func(*firewall.Drop)) firewall.Drop {
		change(&d)
		return d
	}
	tests := []struct {
		name   string
		prefix string
		method rules.Method
		change func(*Uplink)
		want   string // severities and reasons
		says   []string
	}{
		{name: "good", change: func(*Uplink) {}},
		{name: "the firewall cannot be read", change: func(u *Uplink) { u.Way.Firewall = fakeFirewall{drop: forward, err: errors.New("refused")} }},
		{
			name: "a policy", change: func(u *Uplink) { u.Way.Firewall = fakeFirewall{drop: forward} }, want: "warning firewall",
			says: []string{"the policy of ip6 filter FORWARD drops what eth0 forwards to wg0 for 2001:db8:1:0:f::/80", "ip6tables -I FORWARD -i eth0 -o wg0 -j ACCEPT && ip6tables -I FORWARD -i wg0 -o eth0 -j ACCEPT"},
		},
		{
			name: "a policy, and what comes back may pass", change: func(u *Uplink) { u.Way.Firewall = fakeFirewall{drop: forward, in: "eth0"} }, want: "warning firewall",
			says: []string{"-o wg0 -j ACCEPT\n"},
		},
		{
			name: "a policy, and the host does not forward", change: func(u *Uplink) {
				u.Way.Firewall, u.Forwards, u.Link.Forwarding = fakeFirewall{drop: forward}, false, false
			}, want: "warning forwarding_off",
		},
		{
			name: "for new connections", change: func(u *Uplink) { u.Way.Firewall = fakeFirewall{drop: forward, newOnly: true} }, want: "info firewall",
			says: []string{"drops new connections", "nothing has to be done where that is intended; otherwise ip6tables -I"},
		},
		{
			name: "for what the addresses send", change: func(u *Uplink) { u.Way.Firewall = fakeFirewall{drop: forward, in: "wg0"} }, want: "warning firewall",
			says: []string{"drops what arrives on wg0", "ip6tables -I FORWARD -i wg0 -o eth0 -j ACCEPT"},
		},
		{
			name: "beside Docker", change: func(u *Uplink) {
				u.Way.Firewall = fakeFirewall{drop: forward, in: "eth0", chains: []string{"DOCKER-USER"}}
			}, want: "warning firewall", says: []string{"ip6tables -I DOCKER-USER -i eth0"},
		},
		{
			name: "a chain of nft", change: func(u *Uplink) {
				u.Way.Firewall = fakeFirewall{in: "eth0", drop: firewall.Drop{Family: "inet", Table: "fw", Base: "fwd", Chain: "sub", Hook: "forward"}}
			}, want: "warning firewall", says: []string{"inet fw sub drops", `nft insert rule inet fw fwd iifname "eth0" oifname "wg0" accept`},
		},
		{
			name: "to the host", change: func(u *Uplink) {
				u.Way.Destinations = []Destination{{Prefix: p("2001:db8:1:0:f::/80")}}
				u.Way.Firewall = fakeFirewall{drop: firewall.Drop{Family: "inet", Table: "fw", Base: "in", Hook: "input"}}
			}, want: "warning firewall", says: []string{"to the host itself", `nft insert rule inet fw in iifname "eth0" ip6 daddr 2001:db8:1:0:f::/80 accept`},
		},
		{
			name: "Docker 28", change: func(u *Uplink) {
				u.Way.Firewall = fakeFirewall{to: p("2001:db8:1:0:f::5/128"), drop: with(raw, func(d *firewall.Drop) { d.Except = []string{"wg0"} })}
			}, want: "warning docker_direct_routing", says: []string{"for 2001:db8:1:0:f::5/128", "trusted_host_interfaces=eth0"},
		},
		{
			name: "another rule of that kind", change: func(u *Uplink) {
				u.Way.Firewall = fakeFirewall{to: p("2001:db8:1:0:f::5/128"), drop: raw}
			}, want: "warning firewall", says: []string{"ip6tables -t raw -I PREROUTING -i eth0 -d 2001:db8:1:0:f::5/128 -j ACCEPT"},
		},
		{
			name: "reverse path", change: func(u *Uplink) {
				u.Way.Outside.Devices = []int{9}
				u.Way.Firewall = fakeFirewall{in: "eth0", drop: with(raw, func(d *firewall.Drop) { d.ReversePath = true })}
			}, want: "warning reverse_path", says: []string{"does not lead through eth0"},
		},
		{
			name: "reverse path, and no way back at all", change: func(u *Uplink) {
				u.Way.Outside.Devices = nil
				u.Way.Firewall = fakeFirewall{in: "eth0", drop: with(raw, func(d *firewall.Drop) { d.ReversePath = true })}
			}, want: "warning no_return_route",
		},
		{
			name: "no default route", change: func(u *Uplink) {
				u.Way.Outside.Devices, u.Host.Routers = nil, []netip.Addr{netip.MustParseAddr("2001:db8:1::ff"), netip.MustParseAddr("fe80::1")}
			}, want: "warning no_return_route", says: []string{"no default route", "\nip -6 route add default via fe80::1 dev eth0\n"},
		},
		{
			name: "no default route, and advertisements are ignored", change: func(u *Uplink) { u.Way.Outside.Devices, u.Host.AcceptRA = nil, "1" },
			want: "warning no_return_route", says: []string{"eth0.accept_ra=2", "otherwise ip -6 route add default via ROUTER dev eth0"},
		},
		{
			name: "a default route that refuses", change: func(u *Uplink) {
				u.Way.Outside.Devices, u.Way.Outside.Route = nil, "unreachable default dev lo"
			}, want: "warning no_return_route", says: []string{"(unreachable default dev lo)", "ip -6 route del unreachable default && ip -6 route add default"},
		},
		{name: "nobody knows of a default route", change: func(u *Uplink) { u.Way.Outside = hostwatch.Outside{} }},
		{
			name: "unique local addresses", prefix: "fd00:1::/64", change: func(u *Uplink) {
				u.Way.Outside.Devices, u.Way.Destinations[0].Prefix = nil, p("fd00:1::/64")
				u.OnLink = append(u.OnLink, p("fd00:1::/64"))
			},
		},
		{
			name: "forwarding by force", change: func(u *Uplink) { u.Way.Destinations[0].Forwards = false }, want: "warning forwarding_off",
			says: []string{"arrive on wg0", "sysctl -w net.ipv6.conf.wg0.force_forwarding=1"},
		},
		{
			name: "no route", change: func(u *Uplink) { u.Way.Destinations = nil }, want: "warning no_route_behind",
			says: []string{"nothing is answered", "\nip -6 route add 2001:db8:1:0:f::/80 dev DEVICE, with"},
		},
		{
			name: "no route, WireGuard", change: func(u *Uplink) { u.Way.Destinations, u.Way.Devices = nil, []Device{{Name: "wg0", Kind: "wireguard"}} }, want: "warning no_route_behind",
			says: []string{"\nip -6 route add 2001:db8:1:0:f::/80 dev wg0, and the addresses among the AllowedIPs of a peer"},
		},
		{
			name: "no route, two devices", change: func(u *Uplink) {
				u.Way.Destinations, u.Way.Devices = nil, []Device{{Name: "br0"}, {Name: "br1", Addresses: []netip.Prefix{p("2001:db8:1:0:f::1/128")}}}
			}, want: "warning no_route_behind", says: []string{"\nip -6 route add 2001:db8:1:0:f::/80 dev br1\n"},
		},
		{
			name: "no route, the link's prefix", prefix: "2001:db8:1::/64", change: func(u *Uplink) { u.Way.Destinations, u.Way.Devices = nil, []Device{{Name: "br0"}} }, want: "warning no_route_behind",
			says: []string{`"ip -6 route add ADDRESS/128 dev br0"`, `"devices: [br0]"`},
		},
		{
			name: "no route, everything", prefix: "::/0", change: func(u *Uplink) { u.Way.Destinations, u.Way.Devices = nil, []Device{{Name: "br0"}} }, want: "warning no_route_behind",
			says: []string{`"ip -6 route add ADDRESS/128 dev DEVICE"`},
		},
		{
			name: "a macvlan on the link", change: func(u *Uplink) {
				u.Way.Destinations, u.Way.Beside = nil, []Destination{{Prefix: p("2001:db8:1:0:f::/80"), Device: firewall.Device{Name: "mv0", Index: 8}}}
			}, want: "info no_route_behind", says: []string{"routes 2001:db8:1:0:f::/80 to mv0, which is on the link of eth0", "answers itself", "nothing has to be done"},
		},
		{
			name: "a macvlan on the link, static", method: rules.Static, change: func(u *Uplink) {
				u.Way.Destinations, u.Way.Beside = nil, []Destination{{Prefix: p("2001:db8:1:0:f::/80"), Device: firewall.Device{Name: "mv0", Index: 8}}}
			}, want: "warning no_route_behind", says: []string{"answers as well", "remove the rule"},
		},
		{
			name: "a macvlan on the link for a part", change: func(u *Uplink) {
				u.Way.Destinations, u.Way.Beside = nil, []Destination{{Prefix: p("2001:db8:1:0:f:1::/96"), Device: firewall.Device{Name: "mv0", Index: 8}}}
			}, want: "warning no_route_behind", says: []string{"ip -6 route add"},
		},
		{
			name: "the uplink's own address", prefix: "2001:db8:1::2/128", change: func(u *Uplink) { u.Way.Destinations = nil }, want: "info no_route_behind",
			says: []string{"remove the rule"},
		},
		{
			name: "no route, IPsec", change: func(u *Uplink) { u.Way.Destinations, u.Way.IPsec = nil, []netip.Prefix{p("2001:db8:1::/48")} }, want: "warning no_route_behind",
			says: []string{"IPsec policies take the packets", `set "method: static"`},
		},
		{
			name: "static, IPsec", method: rules.Static, change: func(u *Uplink) { u.Way.Destinations, u.Way.IPsec = nil, []netip.Prefix{p("2001:db8:1::/48")} },
		},
		{
			name: "no route, translated", change: func(u *Uplink) { u.Way.Destinations, u.Way.Firewall = nil, fakeFirewall{translated: true} }, want: "warning no_route_behind",
			says: []string{"firewall rules translate the packets"},
		},
		{
			name: "static, translated", method: rules.Static, change: func(u *Uplink) { u.Way.Destinations, u.Way.Firewall = nil, fakeFirewall{translated: true} },
		},
		{
			name: "static, not translated", method: rules.Static, change: func(u *Uplink) { u.Way.Destinations, u.Way.Firewall = nil, fakeFirewall{} }, want: "warning no_route_behind",
			says: []string{"leave by the uplink again or are refused\n"},
		},
		{
			name: "file, not routed", method: rules.File, change: func(u *Uplink) { u.Way.Destinations, u.Way.Firewall = nil, fakeFirewall{} }, want: "warning no_route_behind",
			says: []string{"leave by the uplink again or are refused\n"},
		},
		{
			name: "no route, several rules", change: func(u *Uplink) {
				u.Way.Destinations = nil
				u.Rules = append(u.Rules, rules.Rule{Prefix: p("2001:db8:1:0:e::/80"), Method: rules.Route})
			}, want: "warning no_route_behind", says: []string{"2001:db8:1:0:f::/80, 2001:db8:1:0:e::/80", ", and likewise for the others"},
		},
		{
			name: "kernel proxies", method: rules.Static, change: func(u *Uplink) {
				u.Host.ProxyNDP, u.Host.Proxied = true, []netip.Addr{netip.MustParseAddr("2001:db8:1:0:f::5"), netip.MustParseAddr("2001:db8:1:0:f::6")}
				u.Decide = func(netip.Addr) (ndp.Reason, bool) { return ndp.Answered, true }
			}, want: "warning kernel_proxy", says: []string{"for a in 2001:db8:1:0:f::5 2001:db8:1:0:f::6; do ip -6 neigh del proxy $a dev eth0; done"},
		},
		{
			name: "several addresses", change: func(u *Uplink) {
				u.Way.Destinations = append(u.Way.Destinations, Destination{Prefix: p("2001:db8:1:0:e::/80"), Device: wg0, Forwards: true})
				u.Way.Firewall = fakeFirewall{drop: raw}
			}, want: "warning firewall", says: []string{"-d 2001:db8:1:0:f::/80,2001:db8:1:0:e::/80 -j ACCEPT"},
		},
		{
			name: "several addresses, nft", change: func(u *Uplink) {
				u.Way.Destinations = []Destination{{Prefix: p("2001:db8:1:0:f::/80")}, {Prefix: p("2001:db8:1:0:e::/80")}}
				u.Way.Firewall = fakeFirewall{drop: firewall.Drop{Family: "inet", Table: "fw", Base: "in", Hook: "input"}}
			}, want: "warning firewall", says: []string{"ip6 daddr '{ 2001:db8:1:0:f::/80, 2001:db8:1:0:e::/80 }' accept"},
		},
		{
			name: "neigh_suppress", change: func(u *Uplink) { u.Host.Suppressing = []string{"port1", "port2"} }, want: "warning neigh_suppress",
			says: []string{"bridge link set dev port1 neigh_suppress off && bridge link set dev port2 neigh_suppress off"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.prefix == "" {
				tt.prefix = "2001:db8:1:0:f::/80"
			}
			if tt.method == 0 {
				tt.method = rules.Route
			}
			u := uplinkOf(tt.method, tt.prefix)
			u.Way.Destinations = []Destination{{Prefix: p("2001:db8:1:0:f::/80"), Device: wg0, Forwards: true}}
			tt.change(&u)
			var got []string
			var all strings.Builder
			for _, f := range Findings(u) {
				got = append(got, string(f.Severity)+" "+f.Reason)
				all.WriteString(f.Problem + "\n" + f.Effect + "\n" + f.Remedy + "\n")
			}
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("found %q, want %q:\n%s", got, tt.want, &all)
			}
			for _, part := range tt.says {
				if !strings.Contains(all.String(), part) {
					t.Errorf("no %q in:\n%s", part, &all)
				}
			}
		})
	}
}
