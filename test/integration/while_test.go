// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// pair is a router and two hosts on one switch, of which one is in charge: it has the
// address that moves. Both have the same stations behind them.
type pair struct {
	router *lab.Namespace
	hosts  [2]*lab.Namespace
	macs   [2][6]byte
	vip    string
}

// The stations behind both hosts.
var (
	exactStation  = addr("2001:db8:1:0:f::5") // a rule names it
	routedStation = addr("2001:db8:1:0:e::5") // it has a route of its own
	wideStation   = addr("2001:db8:1:0:f::7") // a rule and a route for its prefix cover it
	stations      = []netip.Addr{exactStation, routedStation, wideStation}
)

func newPair(t *testing.T) *pair {
	t.Helper()
	sw := newSwitch(t)
	p := &pair{router: sw.connect("link", conformance.RouterMAC), vip: "2001:db8:1::f0/64"}
	harness.Must(t, p.router.Address("eth0", conformance.RouterAddr.String()+"/64"))
	for i, name := range []string{"a", "b"} {
		p.macs[i] = [6]byte{2, 0, 0, 0, 0, byte(0xa0 + i)}
		h := sw.connect(name, p.macs[i])
		harness.Must(t, h.Sysctl("net/ipv6/conf/all/forwarding", "1"))
		harness.Must(t, h.Address("eth0", "2001:db8:1::"+name+"/64"))
		far := device(t, h, "pods")
		harness.Must(t, h.Address("pods", "fe80::1/64"))
		harness.Must(t, far.Route("::/0", "fe80::1", "eth0"))
		for _, station := range stations {
			harness.Must(t, far.Address("eth0", station.String()+"/128"))
		}
		route(t, h, "2001:db8:1:0:f::/80", "pods", h.Link.RouteAdd)
		route(t, h, routedStation.String()+"/128", "pods", h.Link.RouteAdd)
		p.hosts[i] = h
	}
	return p
}

// move moves the address, as a VRRP daemon on both hosts does.
func (p *pair) move(t *testing.T, from, to int) {
	t.Helper()
	link, err := p.hosts[from].Link.LinkByName("eth0")
	harness.Must(t, err)
	vip, err := netlink.ParseAddr(p.vip)
	harness.Must(t, err)
	harness.Must(t, p.hosts[from].Link.AddrDel(link, vip))
	harness.Must(t, p.hosts[to].Address("eth0", p.vip))
}

// neighbor returns the MAC address that the router has for an address.
func (p *pair) neighbor(t *testing.T, a netip.Addr) [6]byte {
	t.Helper()
	list, err := p.router.Link.NeighList(0, netlink.FAMILY_V6)
	harness.Must(t, err)
	for _, n := range list {
		if n.IP.Equal(a.AsSlice()) && len(n.HardwareAddr) == 6 {
			return [6]byte(n.HardwareAddr)
		}
	}
	return [6]byte{}
}

// wantNeighbors wants the router to have all stations at a host.
func (p *pair) wantNeighbors(t *testing.T, host int) {
	t.Helper()
	for _, station := range stations {
		if got := p.neighbor(t, station); got != p.macs[host] {
			t.Errorf("%s is at %x, want the host with the address, %x", station, got, p.macs[host])
		}
	}
}

// wantAnnounced wants a host that was put in charge just now to announce all stations.
func (p *pair) wantAnnounced(t *testing.T, a *harness.Asker, host int) {
	t.Helper()
	announced := make(map[netip.Addr]bool)
	begun := time.Now()
	a.Port.Advertisements(harness.Patience, func(f []byte) bool {
		const override = 0x20
		if [6]byte(f[6:12]) == p.macs[host] && f[58]&override != 0 {
			announced[netip.AddrFrom16([16]byte(f[62:78]))] = true
		}
		return announced[exactStation] && announced[routedStation] && announced[wideStation]
	})
	for _, station := range stations {
		if !announced[station] {
			t.Errorf("%s is not announced by the host that has the address now", station)
		}
	}
	t.Logf("announced within %s", time.Since(begun))
}

// TestWhileAddress moves the address that the rules of two hosts hold with: there, back,
// and there and back within half a second. The router's packets go to the host that has
// it, and to the other one as soon as that has it: the kernel's own check of a neighbor
// would take it half a minute.
func TestWhileAddress(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	const rules = `version: 1
uplinks: [{interface: eth0}]
rules:
  - {prefix: "2001:db8:1:0:f::5", method: static, while: {address: "2001:db8:1::f0"}}
  - {prefix: "2001:db8:1:0:f::/80", method: static, while: {address: "2001:db8:1::f0"}}
  - {prefix: "2001:db8:1::/64", method: route, while: {address: "2001:db8:1::f0"}}
`
	harness.Must(t, p.hosts[0].Address("eth0", p.vip))
	var daemons [2]*harness.Daemon
	for i, h := range p.hosts {
		daemons[i] = harness.Run(t, h, "--config", harness.WriteConfig(t, rules))
	}
	for holder, other := 0, 1; ; holder, other = other, holder {
		for _, station := range stations {
			reachable(t, &harness.Network{Router: p.router}, station)
		}
		p.wantNeighbors(t, holder)
		harness.Eventually(t, "the other host to stand by", func() bool { // it hears of its loss by itself
			e := daemons[other].Explain(exactStation).Answers[0]
			return !e.Answered && e.Reason == "standby" && contains(e.Why, "no device has 2001:db8:1::f0")
		})
		daemons[other].Wait("its rules to wait", func(s status.Status) bool {
			return len(s.RuleStates) == 3 && len(s.RuleStates[0].Waits) == 1 && s.RuleStates[0].While == "the host has 2001:db8:1::f0"
		})
		if holder == 1 {
			break
		}
		a := harness.NewAsker(t, p.router, "eth0")
		p.move(t, holder, other)
		p.wantAnnounced(t, a, other)
	}
	t.Log("it comes back, and nobody has asked the first host since")
	a := harness.NewAsker(t, p.router, "eth0")
	p.move(t, 1, 0)
	p.wantAnnounced(t, a, 0)
	p.wantNeighbors(t, 0)
	for _, pause := range []time.Duration{400 * time.Millisecond, 100 * time.Millisecond} {
		t.Logf("it goes and comes back within %s", pause)
		p.move(t, 0, 1)
		time.Sleep(pause)
		a := harness.NewAsker(t, p.router, "eth0")
		p.move(t, 1, 0)
		p.wantAnnounced(t, a, 0)
		harness.Eventually(t, "the other host to know", func() bool {
			return daemons[1].Explain(exactStation).Answers[0].Reason == "standby"
		})
		a.Port.Advertisements(harness.Quiet, harness.Never) // that were on their way
		for _, f := range a.Port.Advertisements(3*time.Second, harness.Never) {
			if station := netip.AddrFrom16([16]byte(f[62:78])); [6]byte(f[6:12]) == p.macs[1] && slices.Contains(stations, station) {
				t.Errorf("the host that has lost the address goes on to announce %s", station)
			}
		}
		p.wantNeighbors(t, 0)
	}
}

// TestWhileInterface has a rule hold while an interface is up, inside of a wider rule
// that must not take its place. It looks at what the commands say.
func TestWhileInterface(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	far := device(t, n.Node, "pods")
	route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteAdd)
	config := harness.WriteConfig(t, `version: 1
uplinks: [{interface: uplink}]
rules:
  - {prefix: "2001:db8:1:0:f::/80", method: static, while: {interface: pods}}
  - {prefix: "2001:db8:1::/64", method: static}
`)
	d := harness.Run(t, n.Node, "--config", config)
	a := newAsker(t, n)
	other := addr("2001:db8:1:0:e::9")
	a.WantAnswer(conformance.Pod)
	t.Log("the far end goes down, and the carrier with it")
	harness.Must(t, far.Down("eth0"))
	a.WantSilence(conformance.Pod)
	a.WantAnswer(other)
	if e := d.Explain(conformance.Pod).Answers[0]; e.Reason != "standby" || !contains(e.Why, "the rule holds only while pods is up: pods is down or has no carrier") {
		t.Errorf("explain says %+v", e)
	}
	for _, args := range [][]string{{"status"}, {"check", "--config", config}} {
		var out bytes.Buffer
		if code := command(t, n, &out, 0, args...); code != 0 || !contains(out.String(), "waits: pods is down or has no carrier") {
			t.Errorf("%s ends with %d and says\n%s", args[0], code, out.String())
		}
	}
	harness.Must(t, far.Up("eth0"))
	a.WantAnswer(conformance.Pod)
	t.Log("the interface goes, and one of the name comes")
	harness.Must(t, n.Node.Delete("pods"))
	a.WantSilence(conformance.Pod)
	d.Wait("the missing interface", func(s status.Status) bool {
		return len(s.RuleStates) == 1 && len(s.RuleStates[0].Waits) == 1 && s.RuleStates[0].Waits[0] == "there is no interface pods"
	})
	device(t, n.Node, "pods")
	a.WantAnswer(conformance.Pod)
}

// TestWhileTentative has a rule wait for an address that duplicate address detection has
// not finished with, and for one of which another station is in charge.
func TestWhileTentative(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	d := harness.Run(t, n.Node, "--config", harness.WriteConfig(t, `version: 1
uplinks: [{interface: uplink}]
rules: [{prefix: "2001:db8:1:0:f::/80", method: static, while: {address: "2001:db8:1::f0"}}]
`))
	harness.Must(t, n.Router.Address(harness.RouterPort, "2001:db8:1::f0/64"))
	if takesAddress(t, n.Node, harness.Uplink, "2001:db8:1::f0/64") {
		t.Fatal("both stations have the address")
	}
	d.Wait("the duplicate address", func(s status.Status) bool {
		return len(s.RuleStates) == 1 && len(s.RuleStates[0].Waits) == 1
	})
	if f := newAsker(t, n).Ask(conformance.Pod, harness.Quiet); f != nil {
		t.Errorf("answered with a duplicate address: % x", f)
	}
	if e := d.Explain(conformance.Pod).Answers[0]; !contains(e.Why, "2001:db8:1::f0") || e.Reason != "standby" {
		t.Errorf("explain says %+v", e)
	}
	t.Log("another device gets it")
	vip, err := netlink.ParseAddr("2001:db8:1::f0/64")
	harness.Must(t, err)
	link, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	_ = n.Node.Link.AddrDel(link, vip) // the kernel may have taken it away
	device(t, n.Node, "vrrp")
	harness.Must(t, n.Node.Address("vrrp", "2001:db8:1::f0/128"))
	newAsker(t, n).WantAnswer(conformance.Pod)
}
