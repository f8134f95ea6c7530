// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/load"
)

// rule is what the daemon answers for in all measurements.
const rule = "2001:db8:1:0:f::/80=route"

// loaded is the prefix of package load's targets.
var loaded = netip.MustParsePrefix("2001:db8:100::/64")

// pods is the device behind the node.
const pods = "pods"

// numbered returns the i-th address of the rule. They are spread over the low 48
// bits as hashes would be, so that no two share more than by chance.
func numbered(i int) netip.Addr {
	b := conformance.PodPrefix.Addr().As16()
	x := uint64(i) * 0x9e3779b97f4a7c15 >> 16
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])&^(1<<48-1)|x)
	return netip.AddrFrom16(b)
}

// network is a node with a device behind it.
func network(b *testing.B) *harness.Network {
	b.Helper()
	n := harness.NewNetwork(b)
	harness.Must(b, harness.Namespace(b).Veth("eth0", [6]byte{2, 0, 0, 0, 2, 1}, n.Node, pods, [6]byte{2, 0, 0, 0, 2, 2}))
	harness.Must(b, n.Node.Sysctl("net/ipv6/route/max_size", "1000000"))
	return n
}

// hostRoute is the route to an address behind the node.
func hostRoute(b *testing.B, n *harness.Network, a netip.Addr) *netlink.Route {
	b.Helper()
	link, err := n.Node.Link.LinkByName(pods)
	harness.Must(b, err)
	return &netlink.Route{LinkIndex: link.Attrs().Index, Dst: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(128, 128)}}
}

// fill adds many routes.
func fill(b *testing.B, n *harness.Network, routes int) {
	b.Helper()
	r := hostRoute(b, n, numbered(0))
	for i := range routes {
		r.Dst.IP = numbered(i).AsSlice()
		harness.Must(b, n.Node.Link.RouteAdd(r))
	}
}

// BenchmarkFollow takes the time from a route's appearance to the first answer,
// and from its end to the last one, beside many other routes.
func BenchmarkFollow(b *testing.B) {
	for _, routes := range []int{100, 10_000, 200_000} {
		b.Run(fmt.Sprintf("routes=%d", routes), func(b *testing.B) {
			n := network(b)
			fill(b, n, routes)
			harness.Run(b, n.Node, "--interface", harness.Uplink, "--rule", rule)
			port := harness.OpenPort(b, n.Router, harness.RouterPort)
			const samples = 300
			var add, del []time.Duration
			for b.Loop() {
				for i := range samples {
					a := numbered(1_000_000 + i)
					r := hostRoute(b, n, a)
					begin := time.Now()
					harness.Must(b, n.Node.Link.RouteAdd(r))
					if !harness.Answered(port, a, 10*time.Second) {
						b.Fatalf("no answer for %s", a)
					}
					add = append(add, time.Since(begin))
					port.Advertisements(2*time.Millisecond, harness.Never) // late ones
					begin = time.Now()
					harness.Must(b, n.Node.Link.RouteDel(r))
					last := begin
					for harness.Answered(port, a, 2*time.Millisecond) {
						last = time.Now()
					}
					del = append(del, last.Sub(begin))
				}
			}
			harness.Report(b, "add", add)
			harness.Report(b, "del", del)
		})
	}
}

// BenchmarkNewDevice takes the time from a route's appearance to the first answer
// when its device has just been made, as with each new container, beside many other
// routes. With many of them the kernel itself takes long, as it walks all for a
// device that comes up: "kernel" is the part of the request that adds the route,
// and "control" the time to an answer for an address that was there before.
func BenchmarkNewDevice(b *testing.B) {
	for _, routes := range []int{10_000, 100_000, 200_000} {
		b.Run(fmt.Sprintf("routes=%d", routes), func(b *testing.B) {
			n := network(b)
			fill(b, n, routes)
			d := harness.Run(b, n.Node, "--interface", harness.Uplink, "--rule", rule)
			port := harness.OpenPort(b, n.Router, harness.RouterPort)
			far := harness.Namespace(b)
			const samples = 200
			var add, kernel, control []time.Duration
			used := cpuTime(b, d.Process.Pid)
			for b.Loop() {
				for i := range samples {
					name := fmt.Sprintf("new%d", i)
					harness.Must(b, far.Veth("eth"+strconv.Itoa(i), [6]byte{2, 1, 0, 0, byte(i >> 8), byte(i)}, n.Node, name, [6]byte{2, 2, 0, 0, byte(i >> 8), byte(i)}))
					link, err := n.Node.Link.LinkByName(name)
					harness.Must(b, err)
					a := numbered(3_000_000 + i)
					begin := time.Now()
					if i%2 == 1 {
						if !harness.Answered(port, numbered(0), 10*time.Second) {
							b.Fatal("no answer for the old address")
						}
						control = append(control, time.Since(begin))
						harness.Must(b, n.Node.Delete(name))
						continue
					}
					harness.Must(b, n.Node.Link.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(128, 128)}}))
					kernel = append(kernel, time.Since(begin))
					if !harness.Answered(port, a, 10*time.Second) {
						b.Fatalf("no answer for %s", a)
					}
					add = append(add, time.Since(begin))
					harness.Must(b, n.Node.Delete(name))
				}
			}
			harness.Report(b, "add", add)
			harness.Report(b, "kernel", kernel)
			harness.Report(b, "control", control)
			b.ReportMetric(float64((cpuTime(b, d.Process.Pid)-used).Milliseconds())/samples, "cpu-ms/device")
		})
	}
}

// BenchmarkBridgeFlood makes MAC addresses up on an uplink that is a bridge, and
// takes the time from a route's appearance to the first answer meanwhile, and what
// the daemon uses of a processor.
func BenchmarkBridgeFlood(b *testing.B) {
	for _, rate := range []int{0, 200, 2000} {
		b.Run(fmt.Sprintf("MACs=%d", rate), func(b *testing.B) {
			n := network(b)
			bridge(b, n, "vmbr0", harness.Uplink)
			d := harness.Run(b, n.Node, "--interface", "vmbr0", "--rule", rule)
			port := harness.OpenPort(b, n.Router, harness.RouterPort)
			flood := harness.OpenPort(b, n.Router, harness.RouterPort)
			const duration = 5 * time.Second
			var add []time.Duration
			for b.Loop() {
				done := make(chan int)
				begin, used := time.Now(), cpuTime(b, d.Process.Pid)
				go func() {
					frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 9, 0, 0, 0, 0, 0x88, 0xb5}, make([]byte, 46)...)
					sent := 0
					for ; time.Since(begin) < duration; time.Sleep(time.Millisecond) {
						for due := int(time.Since(begin).Seconds() * float64(rate)); sent < due; sent++ {
							binary.BigEndian.PutUint32(frame[8:], uint32(sent))
							flood.Send(frame)
						}
					}
					done <- sent
				}()
				for i := 0; time.Since(begin) < duration; i++ {
					a := numbered(4_000_000 + i)
					at := time.Now()
					harness.Must(b, n.Node.Link.RouteAdd(hostRoute(b, n, a)))
					if !harness.Answered(port, a, time.Minute) {
						b.Fatalf("no answer for %s", a)
					}
					add = append(add, time.Since(at))
					time.Sleep(20 * time.Millisecond)
				}
				b.ReportMetric(float64(<-done)/time.Since(begin).Seconds(), "MACs/s")
				b.ReportMetric(100*(cpuTime(b, d.Process.Pid)-used).Seconds()/time.Since(begin).Seconds(), "cpu-%")
			}
			harness.Report(b, "add", add)
		})
	}
}

// bridge makes a bridge of the node with a port, and gives it the node's address.
func bridge(b *testing.B, n *harness.Network, name, port string) {
	b.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = name, conformance.NodeMAC[:]
	harness.Must(b, n.Node.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	harness.Must(b, n.Node.Up(name))
	link, err := n.Node.Link.LinkByName(port)
	harness.Must(b, err)
	master, err := n.Node.Link.LinkByName(name)
	harness.Must(b, err)
	harness.Must(b, n.Node.Link.LinkSetMaster(link, master))
	harness.Must(b, n.Node.Address(name, conformance.NodeAddr.String()+"/64"))
}

// cpuTime returns what a process has used of the processors.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	harness.Must(b, err)
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int
	for _, field := range f[11:13] { // utime and stime, in 1/100 s
		n, err := strconv.Atoi(field)
		harness.Must(b, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// BenchmarkStart takes the time from the start of the daemon to readiness, and
// its memory then, with 200,000 routes.
func BenchmarkStart(b *testing.B) {
	n := network(b)
	fill(b, n, 200_000)
	var start []time.Duration
	var memory []float64
	for b.Loop() {
		for range 5 {
			begin := time.Now()
			d := harness.Run(b, n.Node, "--interface", harness.Uplink, "--rule", rule)
			start = append(start, time.Since(begin))
			time.Sleep(time.Second)
			memory = append(memory, resident(b, d.Process.Pid))
			harness.Must(b, d.Process.Kill())
			d.Exit()
		}
	}
	harness.Report(b, "ready", start)
	slices.Sort(memory)
	b.ReportMetric(memory[0], "MiB-min")
	b.ReportMetric(memory[len(memory)-1], "MiB-max")
}

// resident returns the memory of a process in MiB.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	return statusMiB(b, pid, "VmRSS")
}

// statusMiB returns a figure of /proc/PID/status in MiB.
func statusMiB(b *testing.B, pid int, name string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	harness.Must(b, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name+":" {
			kib, err := strconv.Atoi(f[1])
			harness.Must(b, err)
			return float64(kib) / 1024
		}
	}
	b.Fatal("no " + name)
	return 0
}

// BenchmarkChurn changes 1,000 routes a second beside 10,000 others, while
// 100,000 solicitations a second come for an address that stays.
func BenchmarkChurn(b *testing.B) {
	n := network(b)
	fill(b, n, 10_000)
	stays := loaded.Addr()
	harness.Must(b, n.Node.Link.RouteAdd(hostRoute(b, n, stays)))
	d := harness.Run(b, n.Node, "--interface", harness.Uplink, "--rule", rule, "--rule", loaded.String()+"=route")
	if !harness.Answered(harness.OpenPort(b, n.Router, harness.RouterPort), stays, time.Second) {
		b.Fatal("no answer")
	}
	s, err := load.NewSender(n.Router, harness.RouterPort, load.Options{Prefixes: []netip.Prefix{loaded}, Single: true})
	harness.Must(b, err)
	defer s.Close()
	const perSecond, changes, duration = 100_000, 1000, 3 * time.Second
	var lost []float64
	for b.Loop() {
		for round := range 3 {
			before := d.Status().Uplinks[0]
			done := make(chan int)
			go func() {
				r := hostRoute(b, n, numbered(0))
				made := 0
				for begin := time.Now(); time.Since(begin) < duration; time.Sleep(time.Millisecond) {
					for due := int(time.Since(begin).Seconds() * changes); made < due; made++ {
						r.Dst.IP = numbered((2+round)*1_000_000 + made/2).AsSlice()
						change := n.Node.Link.RouteAdd
						if made%2 == 1 {
							change = n.Node.Link.RouteDel
						}
						if err := change(r); err != nil {
							b.Error(err)
						}
					}
				}
				done <- made
			}()
			sent := 0
			for begin := time.Now(); time.Since(begin) < duration; {
				due := int(time.Since(begin).Seconds()*perSecond) - sent
				if due <= 0 {
					time.Sleep(100 * time.Microsecond)
					continue
				}
				k, err := s.Send(uint64(sent), min(due, load.Batch))
				harness.Must(b, err)
				sent += k
			}
			made := <-done
			var after status.Uplink
			d.Wait("account", func(st status.Status) bool {
				settled := after.Received == st.Uplinks[0].Received
				after = st.Uplinks[0]
				return settled
			})
			answered := after.Answered - before.Answered
			lost = append(lost, 100*(1-float64(answered)/float64(sent)))
			b.ReportMetric(float64(sent)/duration.Seconds(), "solicitations/s")
			b.ReportMetric(float64(made)/duration.Seconds(), "changes/s")
		}
	}
	slices.Sort(lost)
	b.ReportMetric(lost[0], "lost-min-%")
	b.ReportMetric(lost[len(lost)-1], "lost-max-%")
	b.ReportMetric(0, "ns/op")
}
