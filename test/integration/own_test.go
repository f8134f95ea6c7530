// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// bridge makes a bridge without ports, which is up.
func bridge(t *testing.T, n *lab.Namespace, name string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	harness.Must(t, n.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	harness.Must(t, n.Up(name))
}

// anyIP makes a route of the type local, as "ip -6 route add local" does.
func anyIP(r *netlink.Route) { r.Type, r.Table = unix.RTN_LOCAL, unix.RT_TABLE_LOCAL }

// unaddress takes an address from a device of the node.
func unaddress(t *testing.T, n *lab.Namespace, dev, prefix string) {
	t.Helper()
	link, err := n.Link.LinkByName(dev)
	harness.Must(t, err)
	a, err := netlink.ParseAddr(prefix)
	harness.Must(t, err)
	harness.Must(t, n.Link.AddrDel(link, a))
}

// wantOne asks for a target and wants one answer, of whoever it is.
func wantOne(t *testing.T, a *harness.Asker, target netip.Addr) {
	t.Helper()
	a.WantAnswer(target)
	a.Port.Advertisements(harness.Quiet, harness.Never) // late ones
	a.Port.Send(conformance.Solicitation(target).Bytes())
	n := 0
	answers := func(f []byte) bool { return [16]byte(f[62:78]) == target.As16() && f[58]&0x40 != 0 }
	for _, f := range append(a.Port.Advertisements(harness.Patience, answers), a.Port.Advertisements(2*harness.Quiet, harness.Never)...) {
		if answers(f) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d answers for %s, want 1", n, target)
	}
}

// TestOwnAddresses adds what the host itself has, moves it and takes it away, and asks
// from the router's end after each step.
func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	const pool, inPool, vip = "2001:db8:1:0:a::/80", "2001:db8:1:0:a::77", "2001:db8:1:0:b::5"
	for _, config := range []struct{ name, yaml string }{
		{"no configuration", "version: 1\n"},
		{"route", "version: 1\nuplinks: [{interface: uplink}]\nrules: [{prefix: \"2001:db8:1::/65\", method: route}]\n"},
		{"probe", "version: 1\nuplinks: [{interface: uplink}]\nrules: [{prefix: \"2001:db8:1::/65\", method: probe}]\n"},
	} {
		t.Run(config.name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			node := n.Node
			harness.Must(t, node.Route("::/0", conformance.RouterAddr.String(), harness.Uplink))
			bridge(t, node, "br0")
			tunnel(t, n, "tun0")
			device(t, node, "pod1")
			harness.Run(t, node, "--config", harness.WriteConfig(t, config.yaml))
			a := newAsker(t, n)
			add, del := node.Link.RouteAdd, node.Link.RouteDel
			has := func(dev string) func() { return func() { harness.Must(t, node.Address(dev, vip+"/128")) } }
			hasNot := func(dev string) func() { return func() { unaddress(t, node, dev, vip+"/128") } }
			steps := []struct {
				name   string
				do     func()
				target string
				want   bool
			}{
				{"nothing", func() {}, inPool, false},
				{"AnyIP on lo", func() { route(t, node, pool, "lo", add, anyIP) }, inPool, true},
				{"no more", func() { route(t, node, pool, "lo", del, anyIP) }, inPool, false},
				{"AnyIP on a bridge", func() { route(t, node, pool, "br0", add, anyIP) }, inPool, true},
				{"no more", func() { route(t, node, pool, "br0", del, anyIP) }, inPool, false},
				{"AnyIP on the uplink", func() { route(t, node, pool, harness.Uplink, add, anyIP) }, inPool, true},
				{"no more", func() { route(t, node, pool, harness.Uplink, del, anyIP) }, inPool, false},
				{"an address of lo", has("lo"), vip, true},
				{"no more", hasNot("lo"), vip, false},
				{"of a bridge", has("br0"), vip, true},
				{"and of lo", has("lo"), vip, true},
				{"of lo alone", hasNot("br0"), vip, true},
				{"and of a tunnel", has("tun0"), vip, true},
				{"of the tunnel alone", hasNot("lo"), vip, true},
				{"and of the uplink", has(harness.Uplink), vip, true},
				{"of the uplink alone", hasNot("tun0"), vip, true},
				{"no more", hasNot(harness.Uplink), vip, false},
				{"of a veth", has("pod1"), vip, true},
				{"whose device goes", func() { harness.Must(t, node.Delete("pod1")) }, vip, false},
			}
			for _, s := range steps {
				t.Log(s.name)
				s.do()
				if !s.want {
					a.WantSilence(addr(s.target))
					continue
				}
				wantOne(t, a, addr(s.target))
				ping(t, n, addr(s.target))
			}
		})
	}
}

// TestOwnAddressesLeftOut is silent for what is hidden on purpose, or left out by a
// rule, and says how to have it answered.
func TestOwnAddressesLeftOut(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	node := n.Node
	const vip, hidden = "2001:db8:1:0:b::5", "2001:db8:1:0:b::6"
	harness.Must(t, node.Address("lo", vip+"/128"))
	const head = "version: 1\nuplinks: [{interface: uplink}]\n"
	const rule = "rules: [{prefix: \"2001:db8:1:0:b::/80\", method: route, "
	path := harness.WriteConfig(t, head+rule+"own_addresses: false}]\n")
	d := harness.Run(t, node, "--config", path)
	a := newAsker(t, n)
	silent := func(target, why string) {
		t.Helper()
		a.WantSilence(addr(target))
		harness.Eventually(t, "explanation of "+target+": "+why, func() bool { // it was silent before, too
			e := d.Explain(addr(target)).Answers[0]
			return e.Reason == "own_address" && e.Why == why
		})
	}
	configure := func(rest string) {
		harness.Rewrite(t, path, head+rest)
		d.Reload()
	}
	silent(vip, "this host itself has the address, on lo, and the rule says own_addresses: false")
	configure(rule + "devices: [br0]}]\n")
	silent(vip, "the kernel's route leads to lo, which the rule does not name in devices")
	configure(rule + "own_addresses: true}]\n")
	wantOne(t, a, addr(vip))
	t.Log("kube-proxy starts")
	bridge(t, node, "kube-ipvs0")
	harness.Must(t, node.Address("kube-ipvs0", hidden+"/128"))
	const hides = ", which hides its addresses from the link on purpose: a rule that names "
	silent(hidden, "the address is one of kube-ipvs0"+hides+"kube-ipvs0 in devices answers for it")
	silent(vip, "the address is one of lo"+hides+"lo in devices answers for it")
	t.Log("the remedy")
	configure(rule + "devices: [lo, kube-ipvs0]}]\n")
	wantOne(t, a, addr(vip))
	wantOne(t, a, addr(hidden))
}

// TestRealServer leaves an address to the load balancer that has it as well.
func TestRealServer(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	const vip = "2001:db8:1:0:b::5"
	harness.Must(t, n.Node.Address("lo", vip+"/128"))
	d := harness.Run(t, n.Node, "--config", harness.WriteConfig(t, "version: 1\nuplinks: [{interface: uplink}]\nrules: [{prefix: \"2001:db8:1:0:b::/80\", method: route}]\n"))
	a := newAsker(t, n)
	wantOne(t, a, addr(vip))
	harness.Must(t, n.Router.Address(harness.RouterPort, vip+"/128"))
	a.Port.Send(conformance.Claim(addr(vip), conformance.RouterMAC).Bytes())
	d.Wait("conflict", func(s status.Status) bool { return len(s.Uplinks[0].Conflicts) == 1 })
	a.WantSilence(addr(vip))
	if e := d.Explain(addr(vip)).Answers[0]; e.Reason != "claimed" {
		t.Errorf("explained by %s: %s", e.Reason, e.Why)
	}
}

// TestOwnAddressIsAnnounced tells the link of an address that the host gets.
func TestOwnAddressIsAnnounced(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	const vip = "2001:db8:1:0:b::5"
	bridge(t, n.Node, "br0")
	harness.Run(t, n.Node, "--config", harness.WriteConfig(t, "version: 1\nuplinks: [{interface: uplink}]\nrules: [{prefix: \"2001:db8:1:0:b::/80\", method: route}]\n"))
	a := newAsker(t, n)
	harness.Must(t, n.Node.Address("br0", vip+"/128"))
	if a.Hear(addr(vip), harness.Patience) == nil {
		t.Error("no advertisement")
	}
}

// TestOwnAddressesWithoutForwarding has a host that is no router, and gets a pool of
// addresses. It has to take packets for them, and to forward none.
func TestOwnAddressesWithoutForwarding(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	node := n.Node
	const pool, inPool, other = "2001:db8:1:0:a::/80", "2001:db8:1:0:a::77", "2001:db8:1:0:b::5"
	harness.Must(t, node.Sysctl("net/ipv6/conf/all/forwarding", "0"))
	harness.Must(t, node.Route("::/0", conformance.RouterAddr.String(), harness.Uplink))
	device(t, node, "pod1")
	route(t, node, other+"/128", "pod1", node.Link.RouteAdd)
	harness.Run(t, node)
	a := newAsker(t, n)
	a.WantSilence(addr(inPool))
	route(t, node, pool, "lo", node.Link.RouteAdd, anyIP)
	wantOne(t, a, addr(inPool))
	ping(t, n, addr(inPool))
	a.WantSilence(addr(other))
	route(t, node, pool, "lo", node.Link.RouteDel, anyIP)
	a.WantSilence(addr(inPool))
}
