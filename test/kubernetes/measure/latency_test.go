// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

const (
	rules = "rules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: pods}\n  - {prefix: \"2001:db8:1:0:e::/112\", method: services}\n"
	soon  = "  settle: 2s\n"
)

// run starts the daemon as it is shipped.
func run(b *testing.B, n *cluster.Node) *harness.Daemon {
	b.Helper()
	d := harness.StartProgram(b, n.Namespace, harness.PlainBinary(b), "run", "--config", n.ConfigFor(cluster.AdminToken, soon, rules))
	d.WaitReady()
	return d
}

// port opens a port at the router.
func port(b *testing.B, n *cluster.Network) *harness.Port {
	b.Helper()
	return harness.OpenPort(b, n.Router, harness.RouterPort)
}

// BenchmarkPod takes the time from when the API server knows the address of a
// pod to its first answer, and from when the kernel has its route.
func BenchmarkPod(b *testing.B) {
	c := cluster.Start(b)
	n := cluster.NewNetwork(b, c, 1)
	node := n.Nodes[0]
	harness.Must(b, node.Veth("cali1", conformance.MAC{2, 0, 0, 6, 0, 1}, harness.Namespace(b), "eth0", conformance.MAC{2, 0, 0, 6, 0, 2}))
	run(b, node)
	p := port(b, n)
	const samples = 200
	var status, route []time.Duration
	for b.Loop() {
		for i := range samples {
			a := netip.MustParseAddr(fmt.Sprintf("2001:db8:1:0:f:%x::1", i+1))
			pod := c.CreatePod(fmt.Sprintf("p%d", i), node.Name, netip.Addr{})
			c.SetPod(pod, corev1.PodRunning, a)
			begin := time.Now()
			if !harness.Answered(p, a, 10*time.Second) {
				b.Fatalf("no answer for %s", a)
			}
			status = append(status, time.Since(begin))
			routed := netip.MustParseAddr(fmt.Sprintf("2001:db8:1:0:f:%x::2", i+1))
			harness.Must(b, node.Route(routed.String()+"/128", "", "cali1"))
			begin = time.Now()
			if !harness.Answered(p, routed, 10*time.Second) {
				b.Fatalf("no answer for %s", routed)
			}
			route = append(route, time.Since(begin))
		}
	}
	harness.Report(b, "status", status)
	harness.Report(b, "route", route)
}

// BenchmarkService takes the time from the creation of a service, among three
// nodes, to its first answer, and wants a single node to answer.
func BenchmarkService(b *testing.B) {
	c := cluster.Start(b)
	n := cluster.NewNetwork(b, c, 3)
	for _, node := range n.Nodes {
		run(b, node)
	}
	time.Sleep(4 * time.Second) // all have settled
	p := port(b, n)
	const samples = 100
	var took []time.Duration
	several := 0
	for b.Loop() {
		for i := range samples {
			begin := time.Now()
			a := c.CreateService(fmt.Sprintf("s%d", i))
			if !harness.Answered(p, a, 10*time.Second) {
				b.Fatalf("no answer for %s", a)
			}
			took = append(took, time.Since(begin))
			p.Advertisements(20*time.Millisecond, harness.Never)
			p.Send(conformance.Solicitation(a).Bytes())
			nodes := make(map[[6]byte]bool)
			for _, f := range p.Advertisements(50*time.Millisecond, harness.Never) {
				if [16]byte(f[62:78]) == a.As16() {
					nodes[[6]byte(f[6:12])] = true
				}
			}
			if len(nodes) != 1 {
				several++
			}
		}
	}
	if several > 0 {
		b.Errorf("%d of %d services are not answered for by one node", several, samples)
	}
	harness.Report(b, "service", took)
}

// BenchmarkFailover takes the time for which the address of an owner that is
// killed goes unanswered, with the API server and without, and the longest time
// without an answer in a planned stop.
func BenchmarkFailover(b *testing.B) {
	for _, mode := range []string{"server=up", "server=down", "planned"} {
		b.Run(mode, func(b *testing.B) {
			c := cluster.Start(b)
			n := cluster.NewNetwork(b, c, 3)
			target := c.CreateService("s")
			daemons := make([]*harness.Daemon, 3)
			for i, node := range n.Nodes {
				daemons[i] = run(b, node)
			}
			time.Sleep(10 * time.Second) // all have settled, and are on disk
			if mode == "server=down" {
				c.StopServer(syscall.SIGKILL)
				time.Sleep(10 * time.Second)
			}
			p := port(b, n)
			const samples = 6
			var gaps []time.Duration
			for b.Loop() {
				for range samples {
					gaps = append(gaps, failover(b, n, p, daemons, target, mode == "planned"))
				}
			}
			harness.Report(b, "gap", gaps)
		})
	}
}

// failover ends the owner's daemon, and returns the longest time for which the
// target was not answered for. Then it starts the daemon again and waits until it
// has settled.
func failover(b *testing.B, n *cluster.Network, p *harness.Port, daemons []*harness.Daemon, target netip.Addr, planned bool) time.Duration {
	b.Helper()
	owner := -1
	for i, d := range daemons {
		if d.Explain(target).Answers[0].Answered {
			owner = i
		}
	}
	if owner < 0 {
		b.Fatal("nobody owns the service")
	}
	signal := syscall.SIGKILL
	if planned {
		signal = syscall.SIGTERM
	}
	daemons[owner].Signal(signal)
	last, longest := time.Now(), time.Duration(0)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if harness.Answered(p, target, 10*time.Millisecond) {
			longest, last = max(longest, time.Since(last)), time.Now()
		}
	}
	longest = max(longest, time.Since(last))
	daemons[owner].Exit()
	daemons[owner] = run(b, n.Nodes[owner])
	daemons[owner].Wait("its addresses", func(s status.Status) bool { return s.Cluster.Settled && s.Cluster.OwnedAddresses > 0 })
	return longest
}
