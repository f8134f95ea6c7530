// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"encoding/json"
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

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
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

// hold keeps a number of leases of nodes that are not there, so that a node which
// comes after them stands by.
func hold(b *testing.B, c *cluster.Cluster, count int) {
	b.Helper()
	record := ownership.Announcer{Weight: 1, Links: []ownership.Link{{
		Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:1:0:e::/112")}, OnLink: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/64")},
	}}}.Record()
	leases, holder := c.Client.CoordinationV1().Leases("default"), "far"
	lease := func(i int) *coordinationv1.Lease {
		now := metav1.NowMicro()
		return &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("ndproxyd-far%d", i), Labels: map[string]string{"app.kubernetes.io/name": "ndproxyd"},
				Annotations: map[string]string{"ndproxyd.github.io/announcer": record},
			},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &now},
		}
	}
	for i := range count {
		_, err := leases.Create(b.Context(), lease(i), metav1.CreateOptions{})
		harness.Must(b, err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(k8swatch.RenewTime):
			}
			for i := range count {
				patch, err := json.Marshal(map[string]any{"spec": lease(i).Spec})
				if err == nil {
					_, err = leases.Patch(context.Background(), lease(i).Name, types.MergePatchType, patch, metav1.PatchOptions{})
				}
				if err != nil {
					b.Errorf("renew a lease: %v", err)
				}
			}
		}
	}()
	b.Cleanup(func() {
		close(stop)
		<-done
	})
}

// BenchmarkStandby looks at an agent of the large cluster that is not needed among
// its announcers, as most are: its memory, and its requests an hour by those of five
// minutes.
func BenchmarkStandby(b *testing.B) {
	c := cluster.Start(b)
	n := cluster.NewNetwork(b, c, 1)
	parallel(nodes-1, func(i int) {
		c.CreateNode(fmt.Sprintf("far%d", i), netip.MustParseAddr(fmt.Sprintf("2001:db8:2::%x", i+1)))
	})
	parallel(services, func(i int) { c.CreateService(fmt.Sprintf("s%d", i)) })
	parallel(podsHere, func(i int) {
		c.CreatePod(fmt.Sprintf("here%d", i), n.Nodes[0].Name, netip.MustParseAddr(fmt.Sprintf("2001:db8:1:0:f::%x", i+0x100)))
	})
	hold(b, c, ownership.MaxAnnouncers)
	for b.Loop() {
		d := run(b, n.Nodes[0])
		d.Wait("to stand by", func(s status.Status) bool { return s.Cluster.Standby && s.Cluster.Pods == podsHere })
		time.Sleep(10 * time.Second)
		l0, w0, _ := requests(d.Status())
		b.ReportMetric(float64(l0+w0), "requests-at-start")
		const during = 5 * time.Minute
		time.Sleep(during)
		l1, w1, _ := requests(d.Status())
		b.ReportMetric(float64(l1-l0)*float64(time.Hour/during), "looks/h")
		b.ReportMetric(float64(w1-w0)*float64(time.Hour/during), "watches/h")
		b.ReportMetric(resident(b, d.Process.Pid)/(1<<20), "MiB")
		b.ReportMetric(0, "ns/op")
	}
}

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
	return memory(b, pid, "VmRSS:")
}

// memory returns a field of the process's status in bytes.
func memory(b *testing.B, pid int, field string) float64 {
	b.Helper()
	s, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	harness.Must(b, err)
	for line := range strings.Lines(string(s)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			harness.Must(b, err)
			return float64(kib) * 1024
		}
	}
	b.Fatal("no ", field)
	return 0
}

// requests sums up what a daemon has asked of the API server.
func requests(s status.Status) (lists, watches, renewals uint64) {
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
		d.Wait("everything", func(s status.Status) bool {
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
		d.Wait("all sources", func(s status.Status) bool {
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
