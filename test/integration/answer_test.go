// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/load"
)

// podRule answers for all of the pods' prefix.
const podRule = "2001:db8:1:0:f::/80=static"

// prefix64 is a prefix for the load.
var prefix64 = netip.MustParsePrefix("2001:db8:100::/64")

// addPod connects a pod to the node.
func addPod(t *testing.T, net *harness.Network, addr netip.Addr) *lab.Namespace {
	t.Helper()
	pod := harness.Namespace(t)
	const gateway = "2001:db8:1:0:f::1"
	harness.Must(t, pod.Veth("eth0", [6]byte{2, 0, 0, 0, 2, 5}, net.Node, "pod5", [6]byte{2, 0, 0, 0, 1, 5}))
	harness.Must(t, net.Node.Address("pod5", gateway+"/128"))
	harness.Must(t, net.Node.Route(addr.String()+"/128", "", "pod5"))
	harness.Must(t, pod.Address("eth0", addr.String()+"/128"))
	harness.Must(t, pod.Route(gateway+"/128", "", "eth0"))
	harness.Must(t, pod.Route("::/0", gateway, "eth0"))
	return pod
}

// TestRouterKeepsNeighbor has the kernel resolve, keep and probe the pod for
// several cycles, under a ping that loses nothing.
func TestRouterKeepsNeighbor(t *testing.T) {
	t.Parallel()
	net := harness.NewNetwork(t)
	addPod(t, net, conformance.Pod)
	for name, value := range map[string]string{
		"base_reachable_time_ms": "300", "delay_first_probe_time": "1",
	} {
		harness.Must(t, net.Router.Sysctl("net/ipv6/neigh/"+harness.RouterPort+"/"+name, value))
	}
	d := harness.Run(t, net.Node, "--interface", harness.Uplink, "--rule", podRule)
	p, err := net.Router.NewPinger(conformance.Pod)
	harness.Must(t, err)
	defer p.Close()
	// Each cycle goes REACHABLE, STALE, DELAY, and PROBE by unicast.
	const cycles = 3
	for range 300 {
		if _, err := p.Ping(context.Background(), harness.Patience); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	code, metrics := d.Get("/metrics")
	if n := metric(t, metrics, `ndproxyd_solicitations_answered_total{interface="uplink",kind="unicast"}`); code != 200 || n < cycles {
		t.Errorf("%g unicast probes were answered, want %d at least", n, cycles)
	}
}

// TestBurst answers a burst without a loss, as a user with CAP_NET_RAW alone.
func TestBurst(t *testing.T) {
	net := harness.NewNetwork(t)
	const uid, burst = 65534, 10_000
	d := harness.StartAs(t, net.Node, uid, []uintptr{capNetRaw}, harness.Binary(t), "run", "--interface", harness.Uplink, "--rule", prefix64.String()+"=static")
	d.WaitReady()
	s, err := load.NewSender(net.Router, harness.RouterPort, load.Options{Prefixes: []netip.Prefix{prefix64}})
	harness.Must(t, err)
	defer s.Close()
	before := received(t, net.Router, harness.RouterPort)
	for seq := 0; seq < burst; {
		n, err := s.Send(uint64(seq), min(load.Batch, burst-seq))
		harness.Must(t, err)
		seq += n
	}
	d.Wait("all solicitations", func(st status.Status) bool { return st.Uplinks[0].Received == burst && st.Uplinks[0].Answered == burst })
	if u := d.Status().Uplinks[0]; u.Drops != 0 || len(u.Ignored) != 0 {
		t.Errorf("status is %+v", u)
	}
	if got := received(t, net.Router, harness.RouterPort) - before; got < burst {
		t.Errorf("the router got %d frames, want %d at least", got, burst)
	}
}

// capNetRaw is CAP_NET_RAW of linux/capability.h.
const capNetRaw = 13

// received returns the frames that a device got so far.
func received(t *testing.T, n *lab.Namespace, device string) int {
	t.Helper()
	link, err := n.Link.LinkByName(device)
	harness.Must(t, err)
	return int(link.Attrs().Statistics.RxPackets)
}

// TestNoNeighborEntries asks from 2000 spoofed sources, and looks at the
// node's neighbor table.
func TestNoNeighborEntries(t *testing.T) {
	t.Parallel()
	net := harness.NewNetwork(t)
	d := harness.Run(t, net.Node, "--interface", harness.Uplink, "--rule", prefix64.String()+"=static")
	neighbors := func() int {
		list, err := net.Node.Link.NeighList(0, netlink.FAMILY_V6)
		harness.Must(t, err)
		n := 0
		for _, e := range list {
			if !e.IP.IsMulticast() && e.State != netlink.NUD_NOARP {
				n++
			}
		}
		return n
	}
	s, err := load.NewSender(net.Router, harness.RouterPort, load.Options{Prefixes: []netip.Prefix{prefix64}, RandomSource: true})
	harness.Must(t, err)
	defer s.Close()
	before := neighbors()
	const asked = 2000
	for seq := uint64(0); seq < asked; {
		n, err := s.Send(seq, min(load.Batch, int(asked-seq)))
		harness.Must(t, err)
		seq += uint64(n)
	}
	d.Wait("all answers", func(st status.Status) bool { return st.Uplinks[0].Answered == asked })
	if after := neighbors(); after > before {
		t.Errorf("%d neighbor entries became %d", before, after)
	}
}

// TestTwoUplinks answers on each uplink by its own rules, on that uplink only.
func TestTwoUplinks(t *testing.T) {
	t.Parallel()
	net := harness.NewNetwork(t)
	second := harness.Namespace(t)
	harness.Must(t, second.Veth("link", [6]byte{2, 0, 0, 0, 3, 1}, net.Node, "uplink2", conformance.OtherMAC))
	harness.Must(t, net.Node.Address("uplink2", "2001:db8:7::1/64"))
	d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, `
version: 1
uplinks: [{interface: uplink}, {interface: uplink2}]
rules:
  - {prefix: "2001:db8:1:0:f::/80", method: static, uplinks: [uplink]}
`))
	d.Wait("two ready uplinks", func(s status.Status) bool {
		return s.Uplinks[0].State == "ready" && s.Uplinks[1].State == "ready"
	})
	first, other := harness.OpenPort(t, net.Router, harness.RouterPort), harness.OpenPort(t, second, "link")
	ask := conformance.Solicitation(conformance.Pod).Bytes()
	other.Send(ask)
	if got := other.Advertisements(300*time.Millisecond, harness.Never); len(got) != 0 {
		t.Errorf("answered on the uplink without a rule: % x", got)
	}
	first.Send(ask)
	if got := first.Count(1); len(got) != 1 {
		t.Errorf("%d answers on the uplink with the rule, want 1", len(got))
	}
	if got := other.Advertisements(100*time.Millisecond, harness.Never); len(got) != 0 {
		t.Errorf("answered on the other uplink: % x", got)
	}
}

// TestTwoProxies puts two daemons with the same rule on one link: each answers
// once, and neither asks.
func TestTwoProxies(t *testing.T) {
	t.Parallel()
	sw := newSwitch(t)
	router := sw.connect("r", conformance.RouterMAC)
	ports := map[string]*harness.Daemon{}
	for i, name := range []string{"a", "b"} {
		node := sw.connect(name, [6]byte{2, 0, 0, 0, 4, byte(i)})
		harness.Must(t, node.Address("eth0", "2001:db8:1::"+name+"/64"))
		ports[name] = harness.Run(t, node, "--interface", "eth0", "--rule", podRule)
	}
	p := harness.OpenPort(t, router, "eth0")
	time.Sleep(100 * time.Millisecond)
	p.Send(conformance.Solicitation(conformance.Pod).Bytes())
	if got := p.Count(2); len(got) != 2 {
		t.Errorf("%d answers, want one of each", len(got))
	}
	for name, d := range ports {
		if u := d.Status().Uplinks[0]; u.Received != 1 {
			t.Errorf("%s received %d solicitations, want the router's alone", name, u.Received)
		}
	}
}

// TestStop ends by TERM with exit code 0, and takes everything along.
func TestStop(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			net := harness.NewNetwork(t)
			d := harness.Run(t, net.Node, "--interface", harness.Uplink, "--rule", podRule, "--rule", "2001:db8:1::77=static")
			group := "ff02::1:ff00:77"
			if !hasGroup(t, net.Node, harness.Uplink, group) || !allMulti(t, net) {
				t.Fatal("no membership while running")
			}
			d.Signal(signal)
			if code := d.Exit(); code != 0 && signal != syscall.SIGKILL {
				t.Errorf("exit code is %d", code)
			}
			harness.Eventually(t, "end of memberships", func() bool {
				return !hasGroup(t, net.Node, harness.Uplink, group) && !allMulti(t, net)
			})
		})
	}
}

// TestLimitPerAsker lets a loud asker use up its own answers and nobody else's.
func TestLimitPerAsker(t *testing.T) {
	t.Parallel()
	net := harness.NewNetwork(t)
	const limit, asked = 50, 2000
	d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t,
		"version: 1\nuplinks: [{interface: uplink, limit_per_asker: 50}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: static}]\n"))
	p := harness.OpenPort(t, net.Router, harness.RouterPort)
	for range asked {
		p.Send(conformance.Solicitation(conformance.Pod).Bytes())
	}
	// In the name of the quiet one, and for duplicate address detection, it
	// uses up its own as well.
	framed := conformance.Solicitation(conformance.Pod)
	quiet := conformance.Solicitation(conformance.Pod)
	quiet.EtherSrc, quiet.Options = conformance.OtherMAC, nil
	copy(framed.Options[2:], conformance.OtherMAC[:])
	p.Send(framed.Bytes())
	p.Send(conformance.Probe(conformance.Pod).Bytes())
	p.Send(quiet.Bytes())
	if got := p.Advertisements(harness.Patience, func(f []byte) bool { return [6]byte(f) == conformance.OtherMAC }); len(got) == 0 || [6]byte(got[len(got)-1]) != conformance.OtherMAC {
		t.Error("the quiet asker got no answer")
	}
	d.Wait("all solicitations", func(s status.Status) bool { return s.Uplinks[0].Received == asked+3 })
	if u := d.Status().Uplinks[0]; u.Answered < limit || u.Answered > asked/2 {
		t.Errorf("%d of %d were answered, with a limit of %d a second", u.Answered, asked, limit)
	}
}

// TestEarlySocket hears what nftables or tc would hide from a later one; here
// it has to answer once, and on the uplink alone.
func TestEarlySocket(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	harness.Run(t, n.Node, "--config", harness.WriteConfig(t,
		"version: 1\nuplinks: [{interface: uplink, socket: early}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: static}]\n"))
	p := harness.OpenPort(t, n.Router, harness.RouterPort)
	f := conformance.Solicitation(conformance.Pod)
	f.Tags = []conformance.Tag{{TPID: 0x8100, VID: 100}}
	p.Send(f.Bytes())
	p.Send(conformance.Solicitation(conformance.Pod).Bytes())
	if got := p.Count(1); len(got) != 1 {
		t.Errorf("%d answers, want 1", len(got))
	}
}
