// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// bareNetwork connects a router and a forwarding node that have link-local addresses
// only.
func bareNetwork(t *testing.T) *harness.Network {
	t.Helper()
	n := &harness.Network{Router: harness.Namespace(t), Node: harness.Namespace(t)}
	harness.Must(t, n.Node.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	harness.Must(t, n.Router.Veth(harness.RouterPort, conformance.RouterMAC, n.Node, harness.Uplink, conformance.NodeMAC))
	return n
}

// container puts a station behind a device of the node, which has the first address of
// the prefix itself.
func container(t *testing.T, node *lab.Namespace, dev, gateway, address string) netip.Addr {
	t.Helper()
	far := device(t, node, dev)
	harness.Must(t, node.Address(dev, gateway))
	harness.Must(t, far.Address("eth0", address))
	harness.Must(t, far.Route("::/0", netip.MustParsePrefix(gateway).Addr().String(), "eth0"))
	return netip.MustParsePrefix(address).Addr()
}

// inspection runs the check command.
func inspection(t *testing.T, n *harness.Network, args ...string) inspect.Inspection {
	t.Helper()
	var out bytes.Buffer
	if code := command(t, n, &out, 0, append([]string{"check", "--output", "json"}, args...)...); code != 0 {
		t.Fatalf("check ends with %d: %s", code, out.String())
	}
	var i inspect.Inspection
	harness.Must(t, json.Unmarshal(out.Bytes(), &i))
	return i
}

// finding returns the finding with a reason.
func finding(t *testing.T, i inspect.Inspection, reason string) inspect.Finding {
	t.Helper()
	for _, f := range i.Findings {
		if f.Reason == reason {
			return f
		}
	}
	t.Fatalf("no finding %s: %+v", reason, i)
	return inspect.Finding{}
}

// reachable pings an address from the router.
func reachable(t *testing.T, n *harness.Network, target netip.Addr) {
	t.Helper()
	p, err := n.Router.NewPinger(target)
	harness.Must(t, err)
	defer p.Close()
	harness.Eventually(t, "reply of "+target.String(), func() bool {
		_, err := p.Ping(t.Context(), time.Second)
		return err == nil
	})
}

// TestArrangements has no configuration on hosts as providers' how-tos make them, of
// which discovery cannot know whether it may answer. The check command tells a
// configuration. The test runs it, and reaches what is behind the host.
func TestArrangements(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, reason string
		// build makes the host, and returns what has to be reachable with the
		// configuration.
		build func(*testing.T, *harness.Network) []netip.Addr
		rules int // that are discovered
	}{
		{
			name: "a single address on the uplink and the prefix on a bridge", reason: "no_rules",
			build: func(t *testing.T, n *harness.Network) []netip.Addr {
				harness.Must(t, n.Router.Address(harness.RouterPort, "2001:db8:ffff::1/64"))
				harness.Must(t, n.Router.Route("2001:db8:0:1::/64", "", harness.RouterPort))
				harness.Must(t, n.Node.Address(harness.Uplink, "2001:db8:0:1::/128"))
				harness.Must(t, n.Node.Route("2001:db8:ffff::1/128", "", harness.Uplink))
				harness.Must(t, n.Node.Route("::/0", "2001:db8:ffff::1", harness.Uplink))
				return []netip.Addr{container(t, n.Node, "lxdbr0", "2001:db8:0:1::1/64", "2001:db8:0:1::c/64")}
			},
		},
		{
			name: "a second prefix that the uplink does not have", reason: "not_covered", rules: 1,
			build: func(t *testing.T, n *harness.Network) []netip.Addr {
				n.Address(t)
				harness.Must(t, n.Router.Route("2001:db8:2::/64", "", harness.RouterPort))
				harness.Must(t, n.Node.Route("::/0", conformance.RouterAddr.String(), harness.Uplink))
				return []netip.Addr{
					container(t, n.Node, "docker0", "2001:db8:2::1/64", "2001:db8:2::c/64"),
					container(t, n.Node, "docker1", "2001:db8:1:0:d::1/80", "2001:db8:1:0:d::c/80"),
				}
			},
		},
		{
			name: "the default route through a tunnel, and stations on an Ethernet link", reason: "no_uplink",
			build: func(t *testing.T, n *harness.Network) []netip.Addr {
				n.Address(t)
				tunnel(t, n, "he-ipv6")
				harness.Must(t, n.Node.Route("::/0", "", "he-ipv6"))
				return []netip.Addr{container(t, n.Node, "docker0", "2001:db8:1:0:d::1/80", "2001:db8:1:0:d::c/80")}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := bareNetwork(t)
			targets := tt.build(t, n)
			i := inspection(t, n)
			f := finding(t, i, tt.reason)
			if i.Rules != tt.rules || len(i.Seen) < 2 || f.Config == "" {
				t.Fatalf("check says %+v", i)
			}
			t.Logf("%s\nremedy: %s\n%s%s", f.Problem, f.Remedy, f.Config, i.Seen)
			silent := harness.Start(t, n.Node)
			silent.Wait("a first look", func(s status.Status) bool { return s.Rules == tt.rules })
			if f := newAsker(t, n).Ask(targets[0], harness.Quiet); f != nil {
				t.Errorf("answered without the configuration: % x", f)
			}
			if e := silent.Explain(targets[0]); e.NoUplink == "" && (len(e.Answers) != 1 || e.Answers[0].Remedy == "") {
				t.Errorf("explain says %+v", e)
			}
			if tt.rules == 0 {
				harness.Eventually(t, "line of the log", func() bool {
					return contains(silent.Log(), "no rule is in force") && contains(silent.Log(), `"configuration":"version: 1`)
				})
			}
			harness.Must(t, silent.Process.Kill())
			silent.Exit()
			harness.Run(t, n.Node, "--config", harness.WriteConfig(t, f.Config))
			for _, target := range targets {
				reachable(t, n, target)
			}
			for _, f := range inspection(t, n, "--config", harness.WriteConfig(t, f.Config)).Findings {
				if f.Severity == inspect.Warning {
					t.Errorf("with that configuration check says %+v", f)
				}
			}
		})
	}
}

// TestNothingToAnswer has hosts on which nothing can be answered, and no configuration
// is known that would. The commands say what is there.
func TestNothingToAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		build func(*testing.T, *harness.Network)
		want  []string // of the text of check
		// explained is in what explain says of an address.
		explained string
	}{
		{
			name: "a default route through a tunnel",
			build: func(t *testing.T, n *harness.Network) {
				tunnel(t, n, "ppp0")
				harness.Must(t, n.Node.Route("::/0", "", "ppp0"))
			},
			want: []string{
				"the IPv6 default route leads through ppp0, which is not Ethernet", "default route: through ppp0 (not Ethernet)",
				"nothing has to be done for packets that arrive through ppp0",
			},
			explained: "there is no uplink: the IPv6 default route leads through ppp0, which is not Ethernet, so nobody sends it solicitations (no_uplink)",
		},
		{
			name:      "no default route",
			build:     func(*testing.T, *harness.Network) {},
			want:      []string{"no interface has an IPv6 default route", "default route: none", "no interface has a global on-link prefix"},
			explained: "there is no uplink: no interface has an IPv6 default route (no_uplink)",
		},
		{
			name: "no IPv6",
			build: func(t *testing.T, n *harness.Network) {
				harness.Must(t, n.Node.Sysctl("net/ipv6/conf/all/disable_ipv6", "1"))
			},
			want:      []string{"IPv6 is off on this host (net.ipv6.conf.all.disable_ipv6)", "remedy: sysctl -w net.ipv6.conf.all.disable_ipv6=0"},
			explained: "there is no uplink: IPv6 is off on this host",
		},
		{
			name: "a single address, and nothing behind",
			build: func(t *testing.T, n *harness.Network) {
				harness.Must(t, n.Node.Address(harness.Uplink, "2001:db8:0:1::2/128"))
				harness.Must(t, n.Node.Route("::/0", "fe80::1", harness.Uplink))
			},
			want: []string{
				"uplink uplink: 2001:db8:0:1::2/128; no global on-link prefix", "behind this host: nothing is routed to another device",
				"no other prefix is routed behind this node yet",
			},
			explained: "on uplink is not answered: no rule covers the address",
		},
		{
			name: "no forwarding",
			build: func(t *testing.T, n *harness.Network) {
				n.AddressNode(t)
				harness.Must(t, n.Node.Sysctl("net/ipv6/conf/all/forwarding", "0"))
				harness.Must(t, n.Node.Route("::/0", "fe80::1", harness.Uplink))
				route(t, n.Node, "2001:db8:1:0:d::/80", "lo", n.Node.Link.RouteAdd)
			},
			want:      []string{"(warning, forwarding_off)", "what arrives is not forwarded"},
			explained: "on uplink is not answered: no rule covers the address",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := bareNetwork(t)
			tt.build(t, n)
			var out bytes.Buffer
			if code := command(t, n, &out, 0, "check"); code != 0 {
				t.Fatalf("check ends with %d", code)
			}
			for _, want := range append(tt.want, "0 rules, 1 warning", "looked for: ") {
				if !contains(out.String(), want) {
					t.Errorf("check lacks %q:\n%s", want, out.String())
				}
			}
			d := harness.Start(t, n.Node)
			harness.Eventually(t, "line of the log", func() bool { return contains(d.Log(), "no rule is in force") })
			out.Reset()
			if code := command(t, n, &out, 0, "explain", "2001:db8:1:0:d::5"); code != 0 || !contains(out.String(), tt.explained) {
				t.Errorf("explain ends with %d and says %s", code, out.String())
			}
		})
	}
}

// TestDefaultOfAllGlobal takes a route for 2000::/3 as the default route that it is
// meant to be.
func TestDefaultOfAllGlobal(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	harness.Must(t, n.Node.Route("2000::/3", conformance.RouterAddr.String(), harness.Uplink))
	device(t, n.Node, "pods")
	route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteAdd)
	harness.Run(t, n.Node)
	newAsker(t, n).WantAnswer(conformance.Pod)
	route(t, n.Node, "2000::/3", harness.Uplink, n.Node.Link.RouteDel, func(r *netlink.Route) { r.Gw = conformance.RouterAddr.AsSlice() })
}
