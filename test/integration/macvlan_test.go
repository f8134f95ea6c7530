// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// onUplink makes a macvlan device on the node's uplink.
func onUplink(t *testing.T, node *lab.Namespace, name string, mac [6]byte) {
	t.Helper()
	uplink, err := node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.HardwareAddr = name, uplink.Attrs().Index, mac[:]
	harness.Must(t, node.Link.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}))
}

// TestMacvlan has a container on a macvlan of the uplink, and a second macvlan by which
// the host reaches it, as docs of macvlan networks have it. The container is on the
// uplink's link and answers itself: no configuration may make a second answer.
func TestMacvlan(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	node := n.Node
	const mine, theirs, container = "2001:db8:1:0:c::1", "2001:db8:1:0:c::5", "2001:db8:1:0:c::/80"
	mac := [6]byte{2, 0, 0, 0, 5, 5}
	harness.Must(t, node.Route("::/0", conformance.RouterAddr.String(), harness.Uplink))
	onUplink(t, node, "shim0", [6]byte{2, 0, 0, 0, 5, 1})
	harness.Must(t, node.Up("shim0"))
	harness.Must(t, node.Address("shim0", mine+"/128"))
	harness.Must(t, node.Route(container, "", "shim0"))
	onUplink(t, node, "eth0", mac)
	far := harness.Namespace(t)
	harness.Must(t, node.Move("eth0", far))
	harness.Must(t, far.Up("eth0"))
	harness.Must(t, far.Address("eth0", theirs+"/64"))
	yaml := func(prefix, rule string) func() *harness.Daemon {
		return func() *harness.Daemon {
			return harness.Start(t, node, "--config", harness.WriteConfig(t, "version: 1\nuplinks: [{interface: uplink}]\nrules: [{prefix: \""+prefix+"\", "+rule+"}]\n"))
		}
	}
	conf := func(rule string) func() *harness.Daemon {
		return func() *harness.Daemon {
			d, _ := asNDPPD(t, n, "proxy uplink {\n rule 2001:db8:1::/64 {\n "+rule+"\n }\n}\n")
			return d
		}
	}
	for _, config := range []struct {
		name  string
		start func() *harness.Daemon
	}{
		{"no configuration", func() *harness.Daemon { return harness.Start(t, node) }},
		{"route", yaml(container, "method: route")},
		{"route with devices", yaml(container, "method: route, devices: [shim0]")},
		{"probe", yaml(container, "method: probe")},
		{"probe with devices", yaml(container, "method: probe, devices: [shim0]")},
		{"probe on the uplink", yaml(container, "method: probe, devices: [uplink]")},
		{"static", yaml(container, "method: static")},
		{"static for the whole link", yaml("2001:db8:1::/64", "method: static")},
		{"ndppd's auto", conf("auto")},
		{"ndppd's static", conf("static")},
		{"ndppd's iface", conf("iface shim0")},
	} {
		t.Log(config.name)
		d := config.start()
		d.WaitReady()
		a := newAsker(t, n)
		for _, target := range []netip.Addr{addr(theirs), addr(mine)} {
			wantOne(t, a, target)
		}
		if f := a.Ask(addr(theirs), harness.Patience); f == nil || [6]byte(f[6:12]) != mac {
			t.Errorf("the answer is not the container's: % x", f)
		}
		ping(t, n, addr(theirs))
		stop(d)
	}
}
