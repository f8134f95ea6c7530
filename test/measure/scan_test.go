// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/load"
)

// scanned is how many addresses a scan asks for, of which none exists, and
// scanRate how many a second.
const (
	scanned  = 100_000
	scanRate = 20_000
)

// living is the address that exists.
var living = netip.MustParseAddr("2001:db8:100::5")

// BenchmarkScan asks for 100,000 addresses that do not exist, while a living one
// of the same prefix is asked for every 20 ms.
func BenchmarkScan(b *testing.B) {
	for _, method := range []string{"route", "probe"} {
		b.Run(method, func(b *testing.B) {
			n := harness.NewNetwork(b)
			far := harness.Namespace(b)
			harness.Must(b, far.Veth("eth0", [6]byte{2, 0, 0, 0, 2, 1}, n.Node, pods, [6]byte{2, 0, 0, 0, 2, 2}))
			harness.Must(b, far.Address("eth0", living.String()+"/64"))
			target := living.String() + "/128"
			if method == "probe" {
				target = loaded.String()
			}
			harness.Must(b, n.Node.Route(target, "", pods))
			d := harness.Run(b, n.Node, "--interface", harness.Uplink, "--rule", loaded.String()+"="+method)
			port := harness.OpenPort(b, n.Router, harness.RouterPort)
			if !harness.Answered(port, living, 5*time.Second) {
				b.Fatal("the living address is not answered for")
			}
			before, memory := d.Status().Uplinks[0], resident(b, d.Process.Pid)
			sent, _ := counts(b, far)
			var took []time.Duration
			for b.Loop() {
				took = scan(b, n, port)
			}
			var after status.Uplink
			d.Wait("account", func(st status.Status) bool { after = st.Uplinks[0]; return sum(after) == after.Received })
			asked, _ := counts(b, far)
			if got := after.Answered - before.Answered; got > uint64(len(took)) {
				b.Errorf("%d answers, and the living address was asked for %d times", got, len(took))
			}
			harness.Report(b, "living", took)
			b.ReportMetric(float64(after.Received-before.Received)/1000, "kilo-solicitations")
			b.ReportMetric(float64(asked-sent), "frames-to-pods")
			b.ReportMetric(resident(b, d.Process.Pid)-memory, "MiB-more")
		})
	}
}

func sum(u status.Uplink) uint64 {
	total := u.Answered
	for _, n := range u.Ignored {
		total += n
	}
	return total
}

// counts returns the frames that the pods' side got and sent.
func counts(b *testing.B, far *lab.Namespace) (got, sent uint64) {
	b.Helper()
	link, err := far.Link.LinkByName("eth0")
	harness.Must(b, err)
	return link.Attrs().Statistics.RxPackets, link.Attrs().Statistics.TxPackets
}

// scan asks for the addresses of the scan, and returns how long each answer for
// the living one took meanwhile.
func scan(b *testing.B, n *harness.Network, port *harness.Port) []time.Duration {
	b.Helper()
	s, err := load.NewSender(n.Router, harness.RouterPort, load.Options{Prefixes: []netip.Prefix{loaded}})
	harness.Must(b, err)
	defer s.Close()
	done := make(chan error, 1)
	go func() {
		begin := time.Now()
		for sent := 0; sent < scanned; {
			due := min(int(time.Since(begin).Seconds()*scanRate)-sent, scanned-sent, load.Batch)
			if due <= 0 {
				time.Sleep(200 * time.Microsecond)
				continue
			}
			k, err := s.Send(uint64(sent), due)
			if err != nil {
				done <- err
				return
			}
			sent += k
		}
		done <- nil
	}()
	var took []time.Duration
	for {
		select {
		case err := <-done:
			harness.Must(b, err)
			return took
		case <-time.After(20 * time.Millisecond):
		}
		begin := time.Now()
		port.Send(conformance.Solicitation(living).Bytes())
		if got := port.Advertisements(time.Second, func(f []byte) bool { return [16]byte(f[62:78]) == living.As16() }); len(got) == 0 {
			b.Error("the living address was not answered for")
		}
		took = append(took, time.Since(begin))
	}
}

// BenchmarkFailover moves addresses from one node to another and takes the time
// until the router's ping gets through again. The router has a neighbor entry,
// which it would believe for tens of seconds.
func BenchmarkFailover(b *testing.B) {
	router, first, second := station(b), station(b), station(b)
	bridge := harness.Namespace(b)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br0"
	harness.Must(b, bridge.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	harness.Must(b, bridge.WriteSys("class/net/br0/bridge/multicast_snooping", "0"))
	harness.Must(b, bridge.Up("br0"))
	master, err := bridge.Link.LinkByName("br0")
	harness.Must(b, err)
	for i, s := range []*lab.Namespace{router, first, second} {
		name, mac := string(rune('a'+i)), [6]byte{2, 0, 0, 0, 0, byte(i + 1)}
		harness.Must(b, s.Veth("eth0", mac, bridge, name, [6]byte{2, 0, 0, 0, 3, byte(i + 1)}))
		port, err := bridge.Link.LinkByName(name)
		harness.Must(b, err)
		harness.Must(b, bridge.Link.LinkSetMaster(port, master))
		harness.Must(b, s.Address("eth0", netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, 15: byte(0xf0 + i)}).String()+"/64"))
	}
	const moves = 20
	for _, node := range []*lab.Namespace{first, second} {
		pod := harness.Namespace(b)
		harness.Must(b, pod.Veth("eth0", [6]byte{2, 0, 0, 0, 4, 1}, node, "pod", [6]byte{2, 0, 0, 0, 4, 2}))
		harness.Must(b, node.Address("pod", "fe80::1/64"))
		for i := range moves {
			harness.Must(b, pod.Address("eth0", numbered(i).String()+"/128"))
		}
		harness.Must(b, pod.Route("::/0", "fe80::1", "eth0"))
		harness.Run(b, node, "--interface", "eth0", "--rule", rule)
	}
	var took []time.Duration
	for b.Loop() {
		for i := range moves {
			took = append(took, move(b, router, first, second, numbered(i)))
		}
	}
	harness.Report(b, "failover", took)
}

// station is a forwarding node without a link.
func station(b *testing.B) *lab.Namespace {
	b.Helper()
	s := harness.Namespace(b)
	harness.Must(b, s.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	return s
}

// move moves one address and returns how long it cannot be reached.
func move(b *testing.B, router, from, to *lab.Namespace, a netip.Addr) time.Duration {
	b.Helper()
	change := func(n *lab.Namespace, f func(*netlink.Route) error) {
		link, err := n.Link.LinkByName("pod")
		harness.Must(b, err)
		dst, err := netlink.ParseIPNet(a.String() + "/128")
		harness.Must(b, err)
		harness.Must(b, f(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst}))
	}
	change(from, from.Link.RouteAdd)
	p, err := router.NewPinger(a)
	harness.Must(b, err)
	defer p.Close()
	if _, err := p.Ping(context.Background(), 5*time.Second); err != nil {
		b.Fatalf("%s cannot be reached: %v", a, err)
	}
	change(from, from.Link.RouteDel)
	begin := time.Now()
	change(to, to.Link.RouteAdd)
	for {
		if _, err := p.Ping(context.Background(), 20*time.Millisecond); err == nil {
			break
		}
		if time.Since(begin) > time.Minute {
			b.Fatalf("%s cannot be reached after a minute", a)
		}
	}
	took := time.Since(begin)
	change(to, to.Link.RouteDel)
	return took
}
