// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/docs"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// nth returns the n-th address of the pods' prefix.
func nth(n int) netip.Addr {
	b := conformance.PodPrefix.Addr().As16()
	b[11], b[13], b[14], b[15] = 1, byte(n>>16), byte(n>>8), byte(n)
	return netip.AddrFrom16(b)
}

// follows returns the times from a new route to its first answer, of n routes one
// after the other.
func follows(t *testing.T, node *lab.Namespace, dev string, p *harness.Port, first, n int) []time.Duration {
	t.Helper()
	var took []time.Duration
	for i := first; i < first+n; i++ {
		begin := time.Now()
		route(t, node, nth(i).String()+"/128", dev, node.Link.RouteAdd)
		if !harness.Answered(p, nth(i), harness.Patience) {
			t.Fatalf("a new route is not answered for; the ones before took %s", took)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took
}

// nft runs a command of nftables in a namespace.
func nft(t *testing.T, n *lab.Namespace, command ...string) {
	t.Helper()
	dir := filepath.Join(docs.Root(), ".cache", "netfilter")
	cmd := exec.Command("nsenter", append([]string{"--net=" + n.Path(), filepath.Join(dir, "bin", "nft")}, command...)...)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(dir, "lib"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft %v: %v: %s", command, err, out)
	}
}

// TestRefusedTable asks for consume_unicast where the kernel refuses the table. What
// cannot be set up must not slow down what works: routes and links are followed as
// without the setting.
func TestRefusedTable(t *testing.T) {
	t.Parallel()
	const events = 300
	for name, foreign := range map[string]bool{"without CAP_NET_ADMIN": false, "with another program's table": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			median := make(map[bool]time.Duration)
			for _, asked := range []bool{false, true} {
				n := harness.NewNetwork(t)
				device(t, n.Node, "pods")
				if foreign {
					nft(t, n.Node, "add", "table", "ip6", "ndproxyd")
				}
				config := "version: 1\nuplinks: [{interface: uplink, gratuitous: none}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: route}]\n"
				if asked {
					config = "version: 1\nuplinks: [{interface: uplink, gratuitous: none, consume_unicast: true}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: route}]\n"
				}
				path := harness.PublicConfig(t, config)
				var d *harness.Daemon
				if foreign {
					d = harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--config", path)
				} else {
					d = harness.StartAs(t, n.Node, 65534, []uintptr{capNetRaw}, harness.PlainBinary(t), "run", "--config", path)
				}
				d.WaitReady()
				if asked {
					harness.Eventually(t, "word about the table", func() bool {
						return contains(d.Log(), "nftables table") || contains(d.Log(), "needs the capability CAP_NET_ADMIN") || contains(d.Log(), "consume_unicast")
					})
				}
				p := harness.OpenPort(t, n.Router, harness.RouterPort)
				median[asked] = follows(t, n.Node, "pods", p, 0, 20)[10]
				for try := 1; asked && try < 5 && median[true] > 20*median[false]; try++ { // others use the machine, too
					median[true] = min(median[true], follows(t, n.Node, "pods", p, 100*try, 20)[10])
				}
				_, before := d.Get("/metrics")
				for i := range events {
					route(t, n.Node, nth(1000+i).String()+"/128", "pods", n.Node.Link.RouteAdd)
					time.Sleep(5 * time.Millisecond) // each is an event of its own
				}
				if asked {
					time.Sleep(time.Second)
					before := wakeUps(t, d.Process.Pid)
					time.Sleep(6 * time.Second) // the table is tried again by then, once
					if got := wakeUps(t, d.Process.Pid) - before; got > 200 {
						t.Errorf("%d wake-ups in six seconds of rest", got)
					}
				}
				link, err := n.Node.Link.LinkByName(harness.Uplink)
				harness.Must(t, err)
				harness.Must(t, n.Node.Link.LinkSetHardwareAddr(link, conformance.OtherMAC[:]))
				harness.Eventually(t, "answer with the new MAC address", func() bool {
					p.Send(conformance.Solicitation(nth(0)).Bytes())
					got := p.Advertisements(50*time.Millisecond, func(f []byte) bool { return [16]byte(f[62:78]) == nth(0).As16() })
					return len(got) > 0 && [6]byte(got[len(got)-1][6:12]) == conformance.OtherMAC
				})
				_, after := d.Get("/metrics")
				was, is := metric(t, before, "go_goroutines"), metric(t, after, "go_goroutines")
				t.Logf("consume_unicast %t: a new route is answered after %s, %g goroutines became %g", asked, median[asked], was, is)
				if is > was+20 {
					t.Errorf("%g goroutines became %g by %d events", was, is, events)
				}
			}
			if median[true] > 20*median[false] {
				t.Errorf("a new route is answered after %s instead of %s", median[true], median[false])
			}
		})
	}
}

// twoUplinks is a network whose node has a second uplink, and a device behind it.
func twoUplinks(t *testing.T) (n *harness.Network, second *lab.Namespace) {
	t.Helper()
	n = harness.NewNetwork(t)
	second = harness.Namespace(t)
	harness.Must(t, second.Veth("link", [6]byte{2, 0, 0, 0, 3, 1}, n.Node, "uplink2", conformance.OtherMAC))
	harness.Must(t, n.Node.Address("uplink2", "2001:db8:7::1/64"))
	device(t, n.Node, "pods")
	return n, second
}

// clog makes a device of the node pass on about a frame a second, and queue the rest.
func clog(t *testing.T, n *lab.Namespace, name string) {
	t.Helper()
	link, err := n.Link.LinkByName(name)
	harness.Must(t, err)
	const octetsPerSecond, burst, limit = 100, 2000, 64 << 20
	harness.Must(t, n.Link.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       octetsPerSecond, Limit: limit, Buffer: netlink.Xmittime(octetsPerSecond, burst),
	}))
}

// TestStuckUplink has the queue of one uplink's device full: sending there blocks.
// Nothing else waits for it.
func TestStuckUplink(t *testing.T) {
	t.Parallel()
	n, second := twoUplinks(t)
	d := harness.Run(t, n.Node, "--config", harness.WriteConfig(t, "version: 1\n"+
		"uplinks: [{interface: uplink, gratuitous: routers}, {interface: uplink2, gratuitous: none}]\n"+
		"rules: [{prefix: '2001:db8:1:0:f::/80', method: route}, {prefix: '2001:db8:100::/64', method: static}]\n"))
	d.Wait("two ready uplinks", func(s status.Status) bool { return s.Uplinks[0].State == "ready" && s.Uplinks[1].State == "ready" })
	router := harness.NewSteady(t, second, "link", prefix64.Addr().Next())
	clog(t, n.Node, harness.Uplink)
	t.Log("answers fill the queue, and each announcement finds it full")
	stop := harness.Flood(t, n.Router, harness.RouterPort, 5000, harness.Frames(1, func(int) conformance.Frame {
		return conformance.Solicitation(prefix64.Addr().Next())
	}))
	time.Sleep(500 * time.Millisecond)
	for i := range 300 {
		route(t, n.Node, nth(5000+i).String()+"/128", "pods", n.Node.Link.RouteAdd)
	}
	time.Sleep(500 * time.Millisecond)
	t.Log("the other uplink follows")
	p := harness.OpenPort(t, second, "link")
	took := follows(t, n.Node, "pods", p, 0, 20)
	t.Logf("a new route is answered on the other uplink after %s (median), %s at most", took[10], took[19])
	t.Log("the status is told")
	for range 5 {
		if got := d.Status(); len(got.Uplinks) != 2 {
			t.Errorf("status has %d uplinks", len(got.Uplinks))
		}
	}
	t.Log("a link event is followed")
	link, err := n.Node.Link.LinkByName("uplink2")
	harness.Must(t, err)
	mac := [6]byte{2, 0, 0, 0, 0, 0x77}
	harness.Must(t, n.Node.Link.LinkSetHardwareAddr(link, mac[:]))
	d.Wait("the new MAC address", func(s status.Status) bool { return s.Uplinks[1].MAC == "02:00:00:00:00:77" })
	stop()
	router.Stop("a stuck uplink")
	d.Signal(syscall.SIGTERM)
	if code := d.Exit(); code != 0 {
		t.Errorf("the daemon ends with %d", code)
	}
}

// TestForwardingTable sends frames from made-up MAC addresses through an uplink that is a
// bridge: each makes an entry of its forwarding table, and tells the daemon nothing.
func TestForwardingTable(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = "br0", []byte{2, 0, 0, 0, 0, 0x10}
	harness.Must(t, n.Node.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	harness.Must(t, n.Node.Up("br0"))
	bridge, err := n.Node.Link.LinkByName("br0")
	harness.Must(t, err)
	port, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	harness.Must(t, n.Node.Link.LinkSetMaster(port, bridge))
	harness.Must(t, n.Node.Address("br0", "2001:db8:1::2/64"))
	device(t, n.Node, "pods")
	d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--interface", "br0", "--rule", routeRule)
	d.WaitReady()
	p := harness.OpenPort(t, n.Router, harness.RouterPort)
	follows(t, n.Node, "pods", p, 0, 1)
	router := harness.NewSteady(t, n.Router, harness.RouterPort, nth(0))
	stop := harness.Flood(t, n.Router, harness.RouterPort, 2000, harness.Frames(10_000, func(i int) conformance.Frame {
		f := conformance.Solicitation(addr("2001:db8:ffff::1")) // outside of the rules
		f.EtherSrc = conformance.MAC{6, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
		return f
	}))
	const learned = 1000 // else this test shows nothing
	harness.Eventually(t, "bridge with many addresses", func() bool {
		table, err := n.Node.Link.NeighList(port.Attrs().Index, unix.AF_BRIDGE)
		return err == nil && len(table) >= learned
	})
	begin, used := time.Now(), d.CPU()
	took := follows(t, n.Node, "pods", p, 1, 20)
	time.Sleep(time.Second)
	elapsed, cpu := time.Since(begin), d.CPU()-used
	t.Logf("%d frames; a new route is answered after %s (median), %s at most; %s of processor time in %s", stop(), took[10], took[19], cpu, elapsed)
	router.Stop("a bridge with 2,000 new MAC addresses a second")
	if cpu > elapsed/3 {
		t.Errorf("%s of processor time in %s", cpu, elapsed)
	}
}
