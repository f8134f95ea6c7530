// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestAnnouncements looks at what is sent without being asked.
func TestAnnouncements(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	device(t, n.Node, "pods")
	config := "version: 1\nuplinks: [{interface: uplink, gratuitous: routers, prime: solicit}]\n" +
		"rules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: route}\n  - {prefix: \"2001:db8:1:0:e::/80\", method: route, delay: 1s}\n"
	route(t, n.Node, "::/0", harness.Uplink, n.Node.Link.RouteAdd, func(r *netlink.Route) { r.Gw = conformance.RouterAddr.AsSlice() })
	d := harness.Run(t, n.Node, "--config", harness.WriteConfig(t, config))
	a := newAsker(t, n)

	t.Log("a prefix is not announced")
	route(t, n.Node, "2001:db8:1:0:f::/112", "pods", n.Node.Link.RouteAdd)
	if frames, _ := a.Unsolicited(addr("2001:db8:1:0:f::"), 500*time.Millisecond); len(frames) != 0 {
		t.Errorf("a prefix was announced: % x", frames)
	}

	t.Log("an address is, three times, to all nodes and by a copy to all routers")
	route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteAdd)
	var frames [][]byte
	var at []time.Time
	for len(frames) < 6 {
		f, when := a.Announcement(conformance.Pod, harness.Patience)
		if f == nil {
			t.Fatalf("%d announcements, want 3 and their copies: % x", len(frames), frames)
		}
		frames, at = append(frames, f), append(at, when)
	}
	if more, _ := a.Unsolicited(conformance.Pod, 1500*time.Millisecond); len(more) != 0 {
		t.Errorf("%d announcements more than 3 and their copies: % x", len(more), more)
	}
	for i, f := range frames {
		dest := addr([]string{"ff02::1", "ff02::2"}[i%2]).As16()
		if f[58] != 0xa0 || [16]byte(f[38:54]) != dest || f[21] != 255 || [6]byte(f[80:86]) != [6]byte(conformance.NodeMAC) ||
			[6]byte(f[:6]) != [6]byte{0x33, 0x33, 0, 0, 0, dest[15]} {
			t.Errorf("announcement %d is % x", i, f)
		}
		if i >= 2 && at[i].Sub(at[i-2]) < 900*time.Millisecond {
			t.Errorf("announcement %d came after %s", i, at[i].Sub(at[i-2]))
		}
	}
	_, metrics := d.Get("/metrics")
	if sent := metric(t, metrics, `ndproxyd_advertisements_sent_total{interface="uplink",kind="unsolicited"}`); sent != 6 {
		t.Errorf("%g announcements counted", sent)
	}
	t.Log("the router was primed")
	harness.Eventually(t, "router's neighbor entry", func() bool {
		list, err := n.Router.Link.NeighList(0, netlink.FAMILY_V6)
		harness.Must(t, err)
		for _, e := range list {
			if e.IP.Equal(conformance.Pod.AsSlice()) && e.HardwareAddr.String() == "02:00:00:00:00:02" {
				return true
			}
		}
		return false
	})

	t.Log("a flapping address is announced once")
	for range 5 {
		route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteDel)
		route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteAdd)
	}
	_, more := a.Unsolicited(conformance.Pod, time.Second)
	for _, m := range more {
		if after := m.Sub(at[0]); after < 9*time.Second { // it has not rested for ten seconds
			t.Errorf("announced again after %s", after)
		}
	}

	t.Log("a shared address overrides nobody")
	shared := addr("2001:db8:1:0:e::5")
	route(t, n.Node, shared.String()+"/128", "pods", n.Node.Link.RouteAdd)
	if f := a.Hear(shared, harness.Patience); f == nil || f[58] != 0x80 {
		t.Errorf("announcement is % x", f)
	}

	t.Log("a new MAC address is announced at once, and a link that comes back after a second")
	link, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	mac := [6]byte{2, 0, 0, 0, 0, 0x77}
	harness.Must(t, n.Node.Link.LinkSetHardwareAddr(link, mac[:]))
	harness.Eventually(t, "announcement of the new MAC address", func() bool {
		f := a.Hear(conformance.Pod, time.Second)
		return f != nil && [6]byte(f[80:86]) == mac
	})
	time.Sleep(10 * time.Second) // the last series is over, and has rested
	harness.Must(t, n.Router.Down(harness.RouterPort))
	d.WaitState(uplink.Down)
	back := time.Now()
	harness.Must(t, n.Router.Up(harness.RouterPort))
	d.WaitState(uplink.Ready)
	a = newAsker(t, n) // the old port has heard that the link was down
	if f := a.Hear(conformance.Pod, harness.Patience); f == nil {
		t.Error("the link that came back hears no announcement")
	} else if after := a.Port.Arrived().Sub(back); after < 500*time.Millisecond {
		t.Errorf("announced after %s: % x", after, f)
	}
}

// TestManyAnnouncements spreads what appears together.
func TestManyAnnouncements(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	device(t, n.Node, "pods")
	harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", routeRule)
	a := newAsker(t, n)
	const pods = 300
	target := conformance.PodPrefix.Addr().As16()
	for i := range pods {
		target[14], target[15] = byte(i>>8), byte(i)
		route(t, n.Node, netip.AddrFrom16(target).String()+"/128", "pods", n.Node.Link.RouteAdd)
	}
	// Three series of all of them, of which some have come already.
	var at []time.Time
	stalled := harness.Stalled()
	a.Port.Advertisements(harness.Patience, func([]byte) bool {
		at = append(at, a.Port.Arrived())
		return len(at) == pods
	})
	if len(at) < pods {
		t.Fatalf("%d announcements, want %d at least", len(at), pods)
	}
	took := at[len(at)-1].Sub(at[0])
	if rate := float64(len(at)-1) / took.Seconds(); rate > 110 {
		t.Errorf("%.0f announcements a second, want at most 100", rate)
	}
	if rate := float64(len(at)-1) / (took - (harness.Stalled() - stalled)).Seconds(); rate < 30 {
		t.Errorf("%.0f announcements a second, want nearly 100", rate)
	}
}

// TestMove moves an address from one node to another, under a ping from the
// kernel of the router, which keeps its neighbor entry.
func TestMove(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	nodes := []*lab.Namespace{l.node, l.host}
	harness.Must(t, l.host.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	harness.Must(t, l.host.Address("eth0", "2001:db8:1::2/64"))
	for _, node := range nodes {
		pod := device(t, node, "pod")
		harness.Must(t, pod.Address("eth0", conformance.Pod.String()+"/128"))
		harness.Must(t, node.Address("pod", "fe80::1/64"))
		harness.Must(t, pod.Route("::/0", "fe80::1", "eth0"))
		harness.Run(t, node, "--interface", "eth0", "--rule", routeRule)
	}
	// The router does not ask again of its own accord, however long the test takes.
	for _, name := range []string{"base_reachable_time_ms", "delay_first_probe_time"} {
		harness.Must(t, l.router.Sysctl("net/ipv6/neigh/eth0/"+name, "3600000"))
	}
	pod := conformance.Pod.String() + "/128"
	route(t, nodes[0], pod, "pod", nodes[0].Link.RouteAdd)
	p, err := l.router.NewPinger(conformance.Pod)
	harness.Must(t, err)
	defer p.Close()
	reached := func() bool {
		_, err := p.Ping(context.Background(), time.Second)
		return err == nil
	}
	harness.Eventually(t, "answer through the first node", reached)
	t.Log("the address moves")
	route(t, nodes[0], pod, "pod", nodes[0].Link.RouteDel)
	route(t, nodes[1], pod, "pod", nodes[1].Link.RouteAdd)
	harness.Eventually(t, "answer through the second node, of which the router has to be told", reached)
	t.Log("and appears on the first node before it goes from the second")
	route(t, nodes[0], pod, "pod", nodes[0].Link.RouteAdd)
	time.Sleep(time.Second)
	route(t, nodes[1], pod, "pod", nodes[1].Link.RouteDel)
	harness.Eventually(t, "answer through the first node again", reached)
}
