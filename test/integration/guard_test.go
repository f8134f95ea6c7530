// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// wideRule covers the whole prefix of the link, with the router in it.
const wideRule = "2001:db8:1::/64=static"

// lan is a router, a node and a host on one switch.
type lan struct {
	sw                 *snoopingSwitch
	router, node, host *lab.Namespace
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	l := &lan{sw: newSwitch(t)}
	l.router = l.sw.connect("link", conformance.RouterMAC)
	l.node = l.sw.connect("uplink", conformance.NodeMAC)
	l.host = l.sw.connect("host", [6]byte{2, 0, 0, 0, 0, 3})
	harness.Must(t, l.node.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	harness.Must(t, l.router.Address("eth0", conformance.RouterAddr.String()+"/64"))
	harness.Must(t, l.node.Address("eth0", conformance.NodeAddr.String()+"/64"))
	return l
}

// TestGuard has the rule cover everybody's addresses.
func TestGuard(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	route(t, l.node, "::/0", "eth0", l.node.Link.RouteAdd, func(r *netlink.Route) { r.Gw = conformance.RouterAddr.AsSlice() })
	d := harness.Run(t, l.node, "--interface", "eth0", "--rule", wideRule)
	// The host listens where the router's frames end, too.
	a := harness.NewAsker(t, l.host, "eth0")
	fromNode := func(f []byte) bool { return [6]byte(f[6:12]) == [6]byte(conformance.NodeMAC) }
	foreign := addr("2001:db8:1::42")
	a.WantAnswer(foreign)

	t.Log("the next hop of a route through the uplink, and the node's own address")
	for range 5 {
		a.Port.Send(conformance.Solicitation(conformance.RouterAddr).Bytes())
		if got := a.Port.Advertisements(harness.Quiet, fromNode); len(got) > 0 && fromNode(got[len(got)-1]) {
			t.Fatalf("the node answers for the router: % x", got)
		}
	}
	if f := a.Ask(conformance.NodeAddr, harness.Patience); f == nil || f[58]&0x20 == 0 {
		t.Errorf("the node's kernel answers % x", f)
	}

	t.Log("another station takes an address of the rule and speaks from it")
	harness.Must(t, l.host.Address("eth0", foreign.String()+"/64"))
	p, err := l.host.NewPinger(conformance.RouterAddr)
	harness.Must(t, err)
	defer p.Close()
	_, _ = p.Ping(t.Context(), time.Second)
	d.Wait("conflict", func(s status.Status) bool {
		c := s.Uplinks[0].Conflicts
		return len(c) == 1 && c[0].Address == foreign && c[0].MAC == "02:00:00:00:00:03"
	})
	router := harness.NewAsker(t, l.router, "eth0")
	for range 3 {
		router.Port.Send(conformance.Solicitation(foreign).Bytes())
		for _, f := range router.Port.Advertisements(harness.Quiet, harness.Never) {
			if fromNode(f) && [16]byte(f[62:78]) == foreign.As16() {
				t.Fatalf("the node answers for the host: % x", f)
			}
		}
	}
	d.Wait("solicitation that is ignored as claimed", func(s status.Status) bool { return s.Uplinks[0].Ignored["claimed"] > 0 })
	_, metrics := d.Get("/metrics")
	if n := metric(t, metrics, `ndproxyd_conflicts_total{interface="eth0"}`); n != 1 {
		t.Errorf("%g conflicts counted, want 1", n)
	}
	if n := strings.Count(d.Log(), "another station uses an address"); n != 1 {
		t.Errorf("logged %d times", n)
	}

	t.Log("the other station goes")
	harness.Must(t, l.host.Down("eth0"))
	d.Wait("end of the conflict", func(s status.Status) bool { return len(s.Uplinks[0].Conflicts) == 0 })
	router.WantAnswer(foreign)
}

// TestForgedClaim sends what looks like another station's, and nobody stands
// behind it.
func TestForgedClaim(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
	a := newAsker(t, n)
	a.WantAnswer(conformance.Pod)
	for range 10 {
		a.Port.Send(conformance.Claim(conformance.Pod, conformance.MAC{2, 0, 0, 0, 0, 9}).Bytes())
		if a.Ask(conformance.Pod, harness.Patience) == nil {
			t.Fatal("a forged advertisement silenced the daemon")
		}
	}
	if got := d.Status().Uplinks[0].Conflicts; len(got) != 0 {
		t.Errorf("conflicts are %+v", got)
	}
}

// TestBridgedPod attaches a pod to the uplink itself, which is a bridge: the pod
// keeps its own address, although the rule covers it.
func TestBridgedPod(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = "br0", []byte{2, 0, 0, 0, 0, 0x10}
	harness.Must(t, n.Node.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	harness.Must(t, n.Node.Up("br0"))
	enslave := func(name string) {
		t.Helper()
		port, err := n.Node.Link.LinkByName(name)
		harness.Must(t, err)
		bridge, err := n.Node.Link.LinkByName("br0")
		harness.Must(t, err)
		harness.Must(t, n.Node.Link.LinkSetMaster(port, bridge))
	}
	enslave(harness.Uplink)
	harness.Must(t, n.Node.Address("br0", "2001:db8:1::2/64"))
	d := harness.Run(t, n.Node, "--interface", "br0", "--rule", wideRule)
	a := newAsker(t, n)
	a.WantAnswer(conformance.Pod)

	pod := device(t, n.Node, "pod1")
	enslave("pod1")
	harness.Must(t, pod.Sysctl("net/ipv6/conf/eth0/accept_dad", "1"))
	harness.Must(t, pod.Sysctl("net/ipv6/conf/eth0/dad_transmits", "1"))
	link, err := pod.Link.LinkByName("eth0")
	harness.Must(t, err)
	ip, err := netlink.ParseAddr(conformance.Pod.String() + "/64")
	harness.Must(t, err)
	harness.Must(t, pod.Link.AddrAdd(link, ip)) // with duplicate address detection
	harness.Eventually(t, "address", func() bool {
		list, err := pod.Link.AddrList(link, netlink.FAMILY_V6)
		harness.Must(t, err)
		for _, have := range list {
			if have.IP.Equal(ip.IP) {
				if have.Flags&0x08 != 0 { // IFA_F_DADFAILED
					t.Fatal("the daemon keeps the pod from its address")
				}
				return have.Flags&0x40 == 0 // IFA_F_TENTATIVE
			}
		}
		return false
	})
	d.Wait("solicitation of the pod", func(s status.Status) bool { return s.Uplinks[0].Ignored["local_station"] > 0 })
}
