// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// isDefended reports whether somebody keeps a device from an address. The station waits
// for longer than the second of RFC 4862 §5.1, so that a busy machine can defend it.
func isDefended(t *testing.T, n *lab.Namespace, device, address string) bool {
	t.Helper()
	harness.Must(t, n.Sysctl("net/ipv6/neigh/"+device+"/retrans_time_ms", "20000"))
	return !takesAddress(t, n, device, address)
}

// takesAddress gives a device an address with duplicate address detection, and
// reports whether the station may keep it.
func takesAddress(t *testing.T, n *lab.Namespace, device, address string) bool {
	t.Helper()
	harness.Must(t, n.Sysctl("net/ipv6/conf/"+device+"/accept_dad", "1"))
	harness.Must(t, n.Sysctl("net/ipv6/conf/"+device+"/dad_transmits", "1"))
	link, err := n.Link.LinkByName(device)
	harness.Must(t, err)
	want, err := netlink.ParseAddr(address)
	harness.Must(t, err)
	harness.Must(t, n.Link.AddrAdd(link, want))
	failed := false
	harness.Eventually(t, "end of duplicate address detection", func() bool {
		list, err := n.Link.AddrList(link, netlink.FAMILY_V6)
		harness.Must(t, err)
		for _, have := range list {
			if have.IP.Equal(want.IP) {
				failed = have.Flags&unix.IFA_F_DADFAILED != 0
				return failed || have.Flags&unix.IFA_F_TENTATIVE == 0
			}
		}
		failed = true // the kernel has taken it away
		return true
	})
	return !failed
}

// TestTwoInterfacesInOnePrefix runs the daemon without a configuration on a host with
// two interfaces in one LAN. What is on-link there is not behind the host.
func TestTwoInterfacesInOnePrefix(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		forwarding string
		// shim is a macvlan on the uplink instead of a second interface.
		shim bool
	}{
		"a host":                     {"0", false},
		"a router":                   {"1", false},
		"a macvlan on the uplink":    {"0", true},
		"a router's macvlan on that": {"1", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			node := l.node
			harness.Must(t, node.Sysctl("net/ipv6/conf/all/forwarding", c.forwarding))
			second := [6]byte{2, 0, 0, 0, 0, 0x22}
			if c.shim {
				parent, err := node.Link.LinkByName("eth0")
				harness.Must(t, err)
				attrs := netlink.NewLinkAttrs()
				attrs.Name, attrs.ParentIndex, attrs.HardwareAddr = "eth1", parent.Attrs().Index, second[:]
				harness.Must(t, node.Link.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}))
				harness.Must(t, node.Up("eth1"))
			} else {
				harness.Must(t, node.Veth("eth1", second, l.sw.ns, "uplinkb", [6]byte{2, 0, 0, 1, 0, 0x22}))
				l.sw.enslave("uplinkb")
			}
			harness.Must(t, node.Address("eth1", "2001:db8:1::b/64"))
			// As NetworkManager numbers them: the first with the default route, the
			// second with never-default and the better metric.
			for dev, metric := range map[string]int{"eth0": 101, "eth1": 100} {
				route(t, node, "2001:db8:1::/64", dev, node.Link.RouteAdd, func(r *netlink.Route) { r.Priority = metric })
			}
			living := addr("2001:db8:1::77")
			harness.Must(t, l.host.Address("eth0", living.String()+"/64"))
			if c.shim { // the host's way to its own containers
				route(t, node, living.String()+"/128", "eth1", node.Link.RouteAdd)
			}
			route(t, node, "::/0", "eth0", node.Link.RouteAdd, func(r *netlink.Route) {
				r.Gw, r.Priority = conformance.RouterAddr.AsSlice(), 101
			})
			d := harness.Start(t, node)
			d.Wait("the discovered uplink", func(s status.Status) bool {
				return len(s.Uplinks) == 1 && s.Uplinks[0].Interface == "eth0" && s.Uplinks[0].State == "ready" && (s.Rules > 0 || c.forwarding == "0")
			})
			t.Log("a living station has no rival")
			p := harness.OpenPort(t, l.router, "eth0")
			for range 3 {
				p.Send(conformance.Solicitation(living).Bytes())
				for _, f := range p.Advertisements(harness.Quiet, harness.Never) {
					if mac := [6]byte(f[6:12]); [16]byte(f[62:78]) == living.As16() && (mac == conformance.NodeMAC || mac == second) {
						t.Fatalf("the node answers for a station of the LAN: % x", f)
					}
				}
			}
			t.Log("a newcomer may take an address")
			newcomer := l.sw.connect("newcomer", [6]byte{2, 0, 0, 0, 0, 4})
			if !takesAddress(t, newcomer, "eth0", "2001:db8:1::4/64") {
				t.Errorf("the node keeps a newcomer from its address: %s", d.Log())
			}
		})
	}
}

// TestDiscoveryWithoutForwarding has a pod behind a host that does not forward: an
// answer would lead to nothing.
func TestDiscoveryWithoutForwarding(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	forward := func(value string) {
		t.Helper()
		harness.Must(t, n.Node.Sysctl("net/ipv6/conf/all/forwarding", value))
	}
	route(t, n.Node, "::/0", harness.Uplink, n.Node.Link.RouteAdd, func(r *netlink.Route) { r.Gw = conformance.RouterAddr.AsSlice() })
	device(t, n.Node, "pods")
	route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteAdd)
	harness.Run(t, n.Node)
	a := newAsker(t, n)
	a.WantAnswer(conformance.Pod)
	forward("0")
	a.WantSilence(conformance.Pod)
	forward("1")
	a.WantAnswer(conformance.Pod)
}
