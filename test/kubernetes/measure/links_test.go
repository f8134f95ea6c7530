// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	manager "github.com/ndproxyd/ndproxyd/internal/cluster"
	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	ruleset "github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// linkOf stands for the uplink of a node.
type linkOf struct{ link manager.Link }

func (l linkOf) Links() []manager.Link { return []manager.Link{l.link} }

func (linkOf) Ask(netip.Addr, [6]byte)              {}
func (linkOf) SetPresence(netip.Addr, []netip.Addr) {}
func (linkOf) Appeared([]netip.Addr)                {}

// agents runs the part of a number of daemons that speaks to the API server, in this
// process: each with an account of its own, and with the link that link returns.
func agents(b *testing.B, c *cluster.Cluster, count int, link func(i int) int) []*manager.Manager {
	b.Helper()
	server := forward(b, c)
	kubeconfig := c.Kubeconfig(cluster.AdminToken)
	prefix := netip.MustParsePrefix(cluster.ServiceCIDR)
	all := make([]*manager.Manager, count)
	for i := range all {
		name := fmt.Sprintf("far%d", i)
		cfg := &config.Config{
			Rules:      []ruleset.Rule{{Prefix: prefix, Method: ruleset.Services}},
			Kubernetes: &config.Kubernetes{Kubeconfig: kubeconfig, Server: server, Node: name, Namespace: "default", Weight: 1, Settle: 5 * time.Second},
		}
		store := new(ruleset.Store)
		harness.Must(b, store.SetRules(cfg.Rules))
		n := link(i)
		m := manager.New(manager.Options{
			Store: store, Log: slog.New(slog.DiscardHandler), Holder: k8swatch.NewHolder(name),
			Uplinks: linkOf{manager.Link{
				Name: "uplink", MAC: [6]byte{2, 0, 0, 9, byte(i >> 8), byte(i)},
				OnLink: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("2001:db8:9:%x::/64", n))},
			}},
		})
		client, err := manager.Connect(cfg, "measure")
		harness.Must(b, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = m.Run(ctx)
		}()
		b.Cleanup(func() {
			cancel()
			<-done
		})
		m.Configure(cfg, client)
		m.UplinksChanged()
		all[i] = m
	}
	return all
}

// forward makes the API server reachable from this process's network, and returns its URL
// there.
func forward(b *testing.B, c *cluster.Cluster) string {
	b.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	harness.Must(b, err)
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := c.Config.Dial(context.Background(), "tcp", strings.TrimPrefix(cluster.Server, "https://"))
				if err != nil {
					return
				}
				defer out.Close()
				go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
	return "https://" + l.Addr().String()
}

// leaseEvents returns how many events about leases the API server has sent, without those
// of its own and of other programs, of which there are none here.
func leaseEvents(b *testing.B, c *cluster.Cluster) float64 {
	b.Helper()
	text, err := c.Client.CoordinationV1().RESTClient().Get().AbsPath("/metrics").DoRaw(context.Background())
	harness.Must(b, err)
	sum := 0.0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "apiserver_watch_events_total{") && strings.Contains(line, `resource="leases"`) {
			fields := strings.Fields(line)
			v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			harness.Must(b, err)
			sum += v
		}
	}
	return sum
}

// BenchmarkLinks has 500 nodes announce, with a link of each number of nodes, and counts
// the events about leases that the API server sends in a second: while all start, and at
// rest.
func BenchmarkLinks(b *testing.B) {
	const nodes = 500
	for _, each := range []int{1, 2, 3} {
		b.Run(fmt.Sprintf("nodes-of-a-link=%d", each), func(b *testing.B) {
			c := cluster.Start(b)
			parallel(nodes, func(i int) {
				c.CreateNode(fmt.Sprintf("far%d", i), netip.MustParseAddr(fmt.Sprintf("2001:db8:2::%x", i+1)))
			})
			parallel(20, func(i int) { c.CreateService(fmt.Sprintf("s%d", i)) })
			for b.Loop() {
				begin, before := time.Now(), leaseEvents(b, c)
				all := agents(b, c, nodes, func(i int) int { return i / each })
				rest := func(s *status.Cluster) bool {
					return s.ByItself && s.OwnedAddresses == s.ServiceAddresses || each > 1 && (s.Standby || s.Announcers > 1 && s.Settled)
				}
				for _, m := range all {
					for !rest(m.Status()) {
						if time.Since(begin) > 10*time.Minute {
							b.Fatalf("%+v", m.Status())
						}
						time.Sleep(100 * time.Millisecond)
					}
				}
				took := time.Since(begin)
				b.ReportMetric((leaseEvents(b, c)-before)/took.Seconds(), "events/s-at-start")
				b.ReportMetric(took.Seconds(), "start-s")
				time.Sleep(20 * time.Second)
				const during = time.Minute
				before = leaseEvents(b, c)
				time.Sleep(during)
				b.ReportMetric((leaseEvents(b, c)-before)/during.Seconds(), "events/s")
				l, err := c.Client.CoordinationV1().Leases("default").List(context.Background(), listAll)
				harness.Must(b, err)
				b.ReportMetric(float64(len(l.Items)), "leases")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}
