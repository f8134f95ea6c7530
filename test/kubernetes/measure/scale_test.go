// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/daemon"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// The size of the large cluster.
const (
	nodes, services = 5_000, 10_000
	podsHere        = 250
	podsElsewhere   = 2_500
	announcers      = 3
)

// parallel calls f with the numbers up to n, several at a time.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 * runtime.NumCPU() {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// resident returns the resident memory of a process in bytes.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	s, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	harness.Must(b, err)
	for line := range strings.Lines(string(s)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			harness.Must(b, err)
			return float64(kib) * 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

// requests sums up what a daemon has asked of the API server.
func requests(s daemon.Status) (lists, watches, renewals uint64) {
	for _, src := range s.Cluster.Sources {
		if src.Source == "own lease" {
			renewals += src.Lists
			continue
		}
		lists, watches = lists+src.Lists, watches+src.Watches
	}
	return lists, watches, renewals
}

// BenchmarkScale looks at one of three agents in a cluster of 5,000 nodes and
// 10,000 services: its memory, at rest and after the API server has started
// anew, and its requests an hour at rest, by those of a minute.
func BenchmarkScale(b *testing.B) {
	c := cluster.Start(b)
	n := cluster.NewNetwork(b, c, announcers)
	parallel(nodes-announcers, func(i int) {
		c.CreateNode(fmt.Sprintf("far%d", i), netip.MustParseAddr(fmt.Sprintf("2001:db8:2::%x", i+1)))
	})
	parallel(services, func(i int) { c.CreateService(fmt.Sprintf("s%d", i)) })
	parallel(podsElsewhere, func(i int) {
		c.CreatePod(fmt.Sprintf("far%d", i), fmt.Sprintf("far%d", i), netip.MustParseAddr(fmt.Sprintf("2001:db8:3::%x", i+1)))
	})
	parallel(podsHere, func(i int) {
		c.CreatePod(fmt.Sprintf("here%d", i), n.Nodes[0].Name, netip.MustParseAddr(fmt.Sprintf("2001:db8:1:0:f::%x", i+0x100)))
	})
	for b.Loop() {
		begin := time.Now()
		var agents []*harness.Daemon
		for _, node := range n.Nodes {
			agents = append(agents, run(b, node))
		}
		d := agents[0]
		d.Wait("everything", func(s daemon.Status) bool {
			return s.Cluster.ServiceAddresses > services && s.Cluster.Pods == podsHere && s.Cluster.Announcers == announcers && s.Cluster.OwnedAddresses > services/10
		})
		b.ReportMetric(time.Since(begin).Seconds(), "ready-s")
		time.Sleep(10 * time.Second)
		l0, w0, r0 := requests(d.Status())
		b.ReportMetric(float64(l0+w0), "requests-at-start")
		time.Sleep(time.Minute)
		l1, w1, r1 := requests(d.Status())
		b.ReportMetric(float64(r1-r0)*60, "renewals/h")
		b.ReportMetric(float64(l1-l0+w1-w0)*60, "other-requests/h")
		b.ReportMetric(resident(b, d.Process.Pid)/(1<<20), "MiB")
		c.StopServer(syscall.SIGKILL)
		time.Sleep(2 * time.Second)
		c.StartServer()
		d.Wait("all sources", func(s daemon.Status) bool {
			for _, src := range s.Cluster.Sources {
				if src.Fault != "" {
					return false
				}
			}
			return !s.Cluster.Frozen
		})
		time.Sleep(5 * time.Second)
		l2, w2, _ := requests(d.Status())
		b.ReportMetric(float64(l2-l1), "lists-of-restart")
		b.ReportMetric(float64(w2-w1), "watches-of-restart")
		b.ReportMetric(resident(b, d.Process.Pid)/(1<<20), "MiB-after-restart")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkOutage takes the API server away for ten minutes, and wants every
// solicitation answered.
func BenchmarkOutage(b *testing.B) {
	c := cluster.Start(b)
	n := cluster.NewNetwork(b, c, 2)
	var targets []netip.Addr
	for i := range 8 {
		targets = append(targets, c.CreateService(fmt.Sprintf("s%d", i)))
	}
	for i, node := range n.Nodes {
		a := netip.MustParseAddr(fmt.Sprintf("2001:db8:1:0:f::%x", i+5))
		c.CreatePod(fmt.Sprintf("p%d", i), node.Name, a)
		targets = append(targets, a)
		run(b, node)
	}
	p := port(b, n)
	for _, a := range targets {
		if !harness.Answered(p, a, 20*time.Second) {
			b.Fatalf("no answer for %s", a)
		}
	}
	time.Sleep(5 * time.Second)
	const outage = 10 * time.Minute
	for b.Loop() {
		c.StopServer(syscall.SIGKILL)
		asked, unanswered := 0, 0
		ask := func(during time.Duration) {
			for end := time.Now().Add(during); time.Now().Before(end); {
				for _, a := range targets {
					asked++
					if !harness.AnsweredOnce(p, a, 100*time.Millisecond) {
						unanswered++
					}
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		ask(outage)
		c.StartServer()
		ask(time.Minute)
		b.ReportMetric(float64(asked), "asked")
		b.ReportMetric(float64(unanswered), "unanswered")
		b.ReportMetric(0, "ns/op")
		if unanswered > 0 {
			b.Errorf("%d of %d solicitations went unanswered", unanswered, asked)
		}
	}
}
