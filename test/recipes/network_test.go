// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// uplink is the device that all pages have their default route at.
const uplink = "eth0"

// network is the link that the pages have: a router with the link-local address fe80::1,
// the host with 2001:db8:1::1, and a host elsewhere, beyond the router.
type network struct {
	t               *testing.T
	router          *lab.Namespace
	elsewhere, node *host
	// connected counts the hosts on the link.
	connected byte
}

// elsewhere is the address of the host beyond the router.
const elsewhere = "2001:db8:2::2"

// newNetwork makes the router, whose end of the link is a switch for the stations, and the
// host beyond it.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t: t, router: harness.Namespace(t), elsewhere: newHost(t, harness.Namespace(t))}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = harness.RouterPort, conformance.RouterMAC[:]
	snooping := false
	harness.Must(t, n.router.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}))
	harness.Must(t, n.router.Up(harness.RouterPort))
	harness.Must(t, n.router.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	harness.Must(t, n.router.Address(harness.RouterPort, conformance.RouterAddr.String()+"/64"))
	harness.Must(t, n.router.Address(harness.RouterPort, "fe80::1/64"))
	n.beyond(n.elsewhere.Namespace, "wan", elsewhere)
	return n
}

// beyond connects a host to the router by a link of its own.
func (n *network) beyond(h *lab.Namespace, port, address string) {
	n.t.Helper()
	ours := netip.MustParseAddr(address).Prev().String() // ...::2 has ...::1 as its router
	harness.Must(n.t, n.router.Veth(port, conformance.MAC{2, 0, 0, 4, 0, 1}, h, "eth0", conformance.MAC{2, 0, 0, 4, 0, 2}))
	harness.Must(n.t, n.router.Address(port, ours+"/64"))
	harness.Must(n.t, h.Address("eth0", address+"/64"))
	harness.Must(n.t, h.Route("::/0", ours, "eth0"))
}

// client makes the host of somebody who uses the server's tunnel from elsewhere.
func (n *network) client() *host {
	n.t.Helper()
	c := newHost(n.t, harness.Namespace(n.t))
	n.beyond(c.Namespace, "client", "2001:db8:3::2")
	return c
}

// connect makes a station of the link that forwards.
func (n *network) connect(mac conformance.MAC, addresses ...string) *host {
	n.t.Helper()
	h := newHost(n.t, harness.Namespace(n.t))
	n.connected++
	port := "port" + string('0'+n.connected)
	harness.Must(n.t, h.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	harness.Must(n.t, n.router.Veth(port, conformance.MAC{2, 0, 0, 1, 0, n.connected}, h.Namespace, uplink, mac))
	link, err := n.router.Link.LinkByName(port)
	harness.Must(n.t, err)
	master, err := n.router.Link.LinkByName(harness.RouterPort)
	harness.Must(n.t, err)
	harness.Must(n.t, n.router.Link.LinkSetMaster(link, master))
	for _, a := range addresses {
		harness.Must(n.t, h.Address(uplink, a))
	}
	harness.Must(n.t, h.Route("::/0", "fe80::1", uplink))
	return h
}

// link makes the link of most pages.
func link(t *testing.T) *network {
	t.Helper()
	n := newNetwork(t)
	n.node = n.connect(conformance.NodeMAC, conformance.NodeAddr.String()+"/64")
	return n
}

// reached asks for an address from the router, and pings it from beyond.
func (n *network) reached(target string) {
	n.t.Helper()
	harness.NewAsker(n.t, n.router, harness.RouterPort).WantAnswer(netip.MustParseAddr(target))
	harness.Eventually(n.t, "reply of "+target, func() bool {
		_, err := n.elsewhere.try("ping -c 1 -W 1 " + target)
		return err == nil
	})
}

// silent asks for an address that nobody must answer for.
func (n *network) silent(target string) {
	n.t.Helper()
	a := harness.NewAsker(n.t, n.router, harness.RouterPort)
	for range 2 {
		if a.Ask(netip.MustParseAddr(target), harness.Quiet) != nil {
			n.t.Errorf("somebody answers for %s", target)
		}
	}
}

// guest connects a container or a virtual machine to the host by a pair of devices; bridge
// is the one that the host's end becomes a port of, unless it is "".
func (n *network) guest(device, bridge, address, gateway string) *lab.Namespace {
	n.t.Helper()
	g := harness.Namespace(n.t)
	number := device[len(device)-1]
	harness.Must(n.t, n.node.Veth(device, conformance.MAC{2, 0, 0, 2, 0, number}, g, "eth0", conformance.MAC{2, 0, 0, 3, 0, number}))
	if bridge != "" {
		n.node.run("ip link set " + device + " master " + bridge)
	}
	harness.Must(n.t, g.Address("eth0", address))
	harness.Must(n.t, g.Route("::/0", gateway, "eth0", lab.OnLink))
	return g
}
