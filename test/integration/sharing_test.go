// SPDX-License-Identifier: Apache-2.0

package integration

import (
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

const sharedPrefix = "2001:db8:1::/64"

// shared is a LAN whose router stands for the Internet: it pings from an address that
// is on nobody's link.
func shared(t *testing.T) *lan {
	t.Helper()
	l := newLAN(t)
	harness.Must(t, l.router.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	harness.Must(t, l.router.Address("lo", "2001:db8:ffff::1/128"))
	route(t, l.router, sharedPrefix, "eth0", l.router.Link.RouteAdd, func(r *netlink.Route) {
		r.Priority, r.Src = 1, addr("2001:db8:ffff::1").AsSlice()
	})
	route(t, l.node, "::/0", "eth0", l.node.Link.RouteAdd, func(r *netlink.Route) { r.Gw = linkLocal(conformance.RouterMAC).AsSlice() })
	return l
}

// linkLocal returns the address that a kernel makes of a MAC address.
func linkLocal(m conformance.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// docker adds a bridge with an address of the shared prefix, and a container.
func (l *lan) docker(t *testing.T, container string) *lab.Namespace {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = "docker0", []byte{2, 0, 0, 0, 0, 0x70}
	harness.Must(t, l.node.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	harness.Must(t, l.node.Up("docker0"))
	harness.Must(t, l.node.Address("docker0", "2001:db8:1::2/64"))
	c := device(t, l.node, "veth1")
	port, err := l.node.Link.LinkByName("veth1")
	harness.Must(t, err)
	bridge, err := l.node.Link.LinkByName("docker0")
	harness.Must(t, err)
	harness.Must(t, l.node.Link.LinkSetMaster(port, bridge))
	harness.Must(t, c.Address("eth0", container+"/64"))
	route(t, c, "::/0", "eth0", c.Link.RouteAdd, func(r *netlink.Route) { r.Gw = addr("2001:db8:1::2").AsSlice() })
	return c
}

// metric gives the route for the shared prefix to a device another metric than the
// kernel's.
func (l *lan) metric(t *testing.T, device string, metric int) {
	t.Helper()
	route(t, l.node, sharedPrefix, device, l.node.Link.RouteDel, func(r *netlink.Route) { r.Priority = 256 })
	route(t, l.node, sharedPrefix, device, l.node.Link.RouteAdd, func(r *netlink.Route) { r.Priority = metric })
}

// pings wants a reply from the Internet's point of view.
func (l *lan) pings(t *testing.T, target string) {
	t.Helper()
	p, err := l.router.NewPinger(addr(target))
	harness.Must(t, err)
	defer p.Close()
	harness.Eventually(t, "reply from "+target, func() bool {
		_, err := p.Ping(t.Context(), time.Second)
		return err == nil
	})
}

// keepsOut wants the node to answer for none of the addresses, however often it is
// asked, from the first time on.
func (l *lan) keepsOut(t *testing.T, targets ...string) {
	t.Helper()
	p := harness.OpenPort(t, l.router, "eth0")
	for range 3 { // as a router does
		for _, target := range targets {
			p.Send(conformance.Solicitation(addr(target)).Bytes())
		}
		for _, f := range p.Advertisements(time.Second, harness.Never) {
			if a := netip.AddrFrom16([16]byte(f[62:78])); [6]byte(f[6:12]) == conformance.NodeMAC && !a.IsLinkLocalUnicast() {
				for _, target := range targets {
					if addr(target) == a {
						t.Errorf("the node answers for %s: % x", a, f)
					}
				}
			}
		}
	}
}

// TestSharedPrefix has the link's prefix on a bridge as well, as Docker does with a
// fixed-cidr-v6 that is the link's /64. Containers are answered for, and nobody else.
func TestSharedPrefix(t *testing.T) {
	t.Parallel()
	const container, station, absent = "2001:db8:1::d:5", "2001:db8:1::57", "2001:db8:1::d:6"
	file := func(rule string) func(*testing.T) []string {
		return func(t *testing.T) []string {
			return []string{"--config", harness.WriteConfig(t, "version: 1\nuplinks: [{interface: eth0}]\nrules:\n  - {prefix: '2001:db8:1::/64', "+rule+"}\n")}
		}
	}
	for name, c := range map[string]struct {
		args   func(*testing.T) []string
		better string // the device of the better metric
	}{
		"discovery": {func(*testing.T) []string { return nil }, "docker0"},
		"route":     {file("method: route"), "docker0"},
		"probe":     {file("method: probe"), "docker0"},
		"auto of ndppd.conf": {func(t *testing.T) []string {
			return []string{"--config", ndppdConfig(t, "proxy eth0 {\n rule 2001:db8:1::/64 {\n auto\n }\n}\n")}
		}, "docker0"},
		"probe with autowire": {file("method: probe, devices: [docker0], autowire: true"), "eth0"},
		"the same metrics":    {file("method: probe, devices: [docker0], autowire: true"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := shared(t)
			harness.Must(t, l.host.Address("eth0", station+"/64"))
			l.docker(t, container)
			for _, device := range []string{"eth0", "docker0"} {
				if c.better != "" && c.better != device {
					l.metric(t, device, 1024)
				}
			}
			d := harness.Run(t, l.node, c.args(t)...)
			d.Wait("rules", func(s status.Status) bool { return s.Rules > 0 })
			l.keepsOut(t, station, absent, conformance.RouterAddr.String())
			harness.NewAsker(t, l.router, "eth0").WantAnswer(addr(container))
			l.pings(t, container)
			for i, want := range map[byte]string{0x41: absent, 0x42: "2001:db8:1::a3"} {
				n := l.sw.connect("newcomer"+want[len(want)-1:], [6]byte{2, 0, 0, 0, 0, i})
				if !takesAddress(t, n, "eth0", want+"/64") {
					t.Errorf("the node keeps a newcomer from %s", want)
				}
			}
			l.keepsOut(t, absent, "2001:db8:1::a3")
			n := l.sw.connect("thief", [6]byte{2, 0, 0, 0, 0, 0x43})
			if !isDefended(t, n, "eth0", container+"/64") {
				t.Error("a newcomer takes the container's address")
			}
		})
	}
}

// TestSharedPrefixUnreachable has no configuration, and the kernel's better route for
// the shared prefix leads to the link: nobody behind the node could be reached.
func TestSharedPrefixUnreachable(t *testing.T) {
	t.Parallel()
	const container = "2001:db8:1::d:5"
	l := shared(t)
	l.docker(t, container)
	l.metric(t, "docker0", 1024)
	d := harness.Run(t, l.node)
	d.Wait("rules", func(s status.Status) bool { return s.Rules > 0 })
	l.keepsOut(t, container, "2001:db8:1::d:6")
}

// TestAnyIP has the host take packets for all addresses of the link's prefix, but for
// those that other stations have.
func TestAnyIP(t *testing.T) {
	t.Parallel()
	const station, free, newcomer = "2001:db8:1::57", "2001:db8:1::a:1", "2001:db8:1::a:3"
	for name, args := range map[string]func(*testing.T) []string{
		"discovery":                func(*testing.T) []string { return nil },
		"a host that is no router": func(*testing.T) []string { return nil },
		"route":                    func(*testing.T) []string { return []string{"--interface", "eth0", "--rule", sharedPrefix + "=route"} },
		"auto of ndppd.conf": func(t *testing.T) []string {
			return []string{"--config", ndppdConfig(t, "proxy eth0 {\n rule 2001:db8:1::/64 {\n auto\n }\n}\n")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := shared(t)
			harness.Must(t, l.host.Address("eth0", station+"/64"))
			if name == "a host that is no router" {
				harness.Must(t, l.node.Sysctl("net/ipv6/conf/all/forwarding", "0"))
			}
			route(t, l.node, sharedPrefix, "lo", l.node.Link.RouteAdd, anyIP)
			d := harness.Run(t, l.node, args(t)...)
			d.Wait("rules", func(s status.Status) bool { return s.Rules > 0 })
			l.keepsOut(t, station, conformance.RouterAddr.String())
			l.pings(t, free)
			n := l.sw.connect("newcomer", [6]byte{2, 0, 0, 0, 0, 0x41})
			if !takesAddress(t, n, "eth0", newcomer+"/64") {
				t.Error("the node keeps a newcomer from its address")
			}
			l.keepsOut(t, newcomer)
			t.Log("a newcomer takes an address that was answered for a moment ago")
			if !takesAddress(t, n, "eth0", free+"/64") {
				t.Error("the node keeps a newcomer from an address that it has answered for")
			}
			l.keepsOut(t, free)
		})
	}
}

// TestSharedPrefixFinding follows what check says of a shared prefix, whichever device
// the kernel prefers: the finding goes, and the container is reached.
func TestSharedPrefixFinding(t *testing.T) {
	t.Parallel()
	const container = "2001:db8:1::d:5"
	for name, c := range map[string]struct {
		args   []string
		better string
	}{
		"discovery, the bridge is preferred":   {nil, "docker0"},
		"discovery, the uplink is preferred":   {nil, "eth0"},
		"discovery, neither is":                {nil, ""},
		"static, the uplink is preferred":      {[]string{"--interface", "eth0", "--rule", sharedPrefix + "=static"}, "eth0"},
		"a rule that draws packets for naught": {[]string{"--config"}, "eth0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := shared(t)
			l.docker(t, container)
			for _, device := range []string{"eth0", "docker0"} {
				if c.better != "" && c.better != device {
					l.metric(t, device, 1024)
				}
			}
			n := &harness.Network{Router: l.router, Node: l.node}
			args := c.args
			if len(args) == 1 {
				args = append(args, harness.WriteConfig(t, "version: 1\nuplinks: [{interface: eth0}]\nrules:\n  - {prefix: '2001:db8:1::/64', method: probe, devices: [docker0]}\n"))
			}
			found := named(check(t, n, args...), "shared_prefix", inspect.Warning)
			if len(found) != 1 || found[0].Config == "" {
				t.Fatalf("findings are %+v", check(t, n, args...))
			}
			t.Logf("%s; %s; %s\n%s", found[0].Problem, found[0].Effect, found[0].Remedy, found[0].Config)
			config := harness.WriteConfig(t, found[0].Config)
			harness.Run(t, l.node, "--config", config)
			if left := named(check(t, n, "--config", config), "shared_prefix", inspect.Warning); len(left) > 0 {
				t.Errorf("the finding stays: %+v", left)
			}
			harness.NewAsker(t, l.router, "eth0").WantAnswer(addr(container))
			l.pings(t, container)
			l.keepsOut(t, "2001:db8:1::d:6")
		})
	}
}

// TestScanOfSharedPrefix has somebody scan a prefix that the link shares with a bridge,
// and an AnyIP prefix. An address with a host route is answered for all the time, and
// others are found beside the scan.
func TestScanOfSharedPrefix(t *testing.T) {
	t.Parallel()
	for name, wanted := range map[string]string{"docker": "2001:db8:1::d:5", "AnyIP": "2001:db8:1::a:1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := shared(t)
			if name == "docker" {
				l.docker(t, wanted)
				l.metric(t, "eth0", 1024)
				route(t, l.node, conformance.Pod.String()+"/128", "docker0", l.node.Link.RouteAdd)
			} else {
				route(t, l.node, sharedPrefix, "lo", l.node.Link.RouteAdd, anyIP)
				route(t, l.node, conformance.Pod.String()+"/128", "lo", l.node.Link.RouteAdd, anyIP)
			}
			d := harness.StartProgram(t, l.node, harness.PlainBinary(t), "run", "--interface", "eth0", "--rule", sharedPrefix+"=route")
			d.WaitReady()
			harness.NewAsker(t, l.router, "eth0").WantAnswer(conformance.Pod)
			p := harness.OpenPort(t, l.router, "eth0")
			router := harness.NewSteady(t, l.router, "eth0", conformance.Pod)
			stop := harness.Flood(t, l.router, "eth0", 5000, scanFrames(40_000))
			time.Sleep(time.Second)
			var got map[netip.Addr]bool
			for range 3 { // a router that got no answer tries again with the next packet
				if got = asked(p, []netip.Addr{addr(wanted)}); len(got) > 0 {
					break
				}
			}
			t.Logf("answered for %d of 1, beside %d solicitations of a scan", len(got), stop())
			if len(got) != 1 {
				t.Errorf("%s was not answered for", wanted)
			}
			router.Stop("a scan")
		})
	}
}
