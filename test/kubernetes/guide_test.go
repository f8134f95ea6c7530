// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// guide is the cluster of the guide with three nodes, kube-proxy in a mode, and
// a service of two pods.
type guide struct {
	t        *testing.T
	c        *cluster.Cluster
	n        *cluster.Network
	a        *harness.Asker
	daemons  []*harness.Daemon
	pods     []*cluster.Workload
	podAddrs []netip.Addr
	services []netip.Addr
}

func newGuide(t *testing.T, mode string) *guide {
	t.Helper()
	g := &guide{t: t, c: cluster.Start(t)}
	g.c.StartController()
	g.n = cluster.NewNetwork(t, g.c, 3)
	g.a = g.n.Asker()
	for i, name := range []string{"web-1", "web-2", "other-1"} {
		a := fmt.Sprintf("2001:db8:1:0:f::4%d", i)
		g.pods = append(g.pods, g.n.Nodes[i].RunPod(name, a))
		g.podAddrs = append(g.podAddrs, addr(a))
	}
	create := func(i int) netip.Addr {
		return g.c.CreateService(fmt.Sprintf("web%d", i), func(s *corev1.Service) {
			s.Spec.Selector = map[string]string{"app": "web"}
			s.Spec.Ports = []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(80)}}
		})
	}
	for i := range 4 {
		g.services = append(g.services, create(i))
	}
	for _, node := range g.n.Nodes {
		node.RunProxy(mode)
		g.daemons = append(g.daemons, run(t, node, settle, both))
	}
	settled(t, g.n, g.a, g.daemons, g.services)
	g.services = spread(t, g.n, g.a, g.services, create)
	for _, s := range g.services {
		harness.Eventually(t, "service "+s.String(), func() bool { return g.get(s, time.Second) == nil })
	}
	return g
}

// errCut is wrapped by the error of a request that had a connection.
var errCut = errors.New("the connection was open")

// get fetches a page of an address from the router.
func (g *guide) get(target netip.Addr, timeout time.Duration) error {
	var connected atomic.Bool
	client := http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := g.n.RouterDial(ctx, network, address)
		connected.Store(err == nil)
		return conn, err
	}}}
	resp, err := client.Get("http://[" + target.String() + "]/")
	if err != nil && connected.Load() {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// poke sends to all kinds of addresses what finds no way there, by packets of
// the router's kernel and by solicitations to a node that may not own them.
func (g *guide) poke() {
	g.t.Helper()
	targets := append(slices.Clone(g.podAddrs), g.services...)
	targets = append(targets, addr("2001:db8:1:0:e::fffe"), addr("2001:db8:1:0:f::fffe"), addr("2001:db8:1:0:f:1::1"))
	for _, target := range targets {
		ping, err := g.n.Router.NewPinger(target)
		harness.Must(g.t, err)
		_, _ = ping.Ping(context.Background(), 50*time.Millisecond)
		_ = ping.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		if conn, err := g.n.RouterDial(ctx, "tcp", "["+target.String()+"]:81"); err == nil {
			_ = conn.Close()
		}
		cancel()
		for _, node := range g.n.Nodes { // as a router does whose entry is old
			f := conformance.Solicitation(target)
			f.EtherDst, f.Dest = node.MAC, target
			g.a.Port.Send(f.Bytes())
		}
	}
}

// wantShort wants no packet to have crossed the link more than twice.
func (g *guide) wantShort(crossings *cluster.Crossings, when string) {
	g.t.Helper()
	if most, example := crossings.Most(1500 * time.Millisecond); most > 2 {
		g.t.Errorf("%s: a packet crossed the link %d times: %s", when, most, example)
	}
	crossings.Reset()
}

// TestGuide goes through the life of the guide's cluster, with kube-proxy in both
// of its modes.
func TestGuide(t *testing.T) {
	cluster.UseNetfilter(t)
	for _, mode := range []string{"nftables", "iptables"} {
		t.Run(mode, func(t *testing.T) {
			g := newGuide(t, mode)
			crossings := g.n.Watch(t)
			for _, p := range g.podAddrs {
				if err := harness.Undisturbed(func() error { return g.get(p, 2*time.Second) }); err != nil {
					t.Errorf("pod %s: %v", p, err)
				}
			}
			before := owners(t, g.n, g.a, g.services)
			t.Log("owners", before)
			g.a.WantSilence(addr("2001:db8:1:0:e::fffe"))
			g.a.WantSilence(addr("2001:db8:1:0:f::fffe"))
			g.poke()
			g.wantShort(crossings, "at rest")

			// A node dies with all that is on it. It owns the service, and has no
			// pod of it.
			victim, at := 2, slices.Index(before, 2)
			loss := g.watch(g.services[at], g.podAddrs[0])
			g.n.Nodes[victim].Unplug()
			time.Sleep(8 * time.Second)
			g.poke()
			g.wantShort(crossings, "a node dead")
			loss.want("a node died", 4*time.Second, 0)

			// It returns.
			g.n.Nodes[victim].Plug()
			harness.Eventually(t, "the owners of before", func() bool { return slices.Equal(owners(t, g.n, g.a, g.services), before) })
			g.poke()
			g.wantShort(crossings, "the node back")
			loss.want("the node came back", time.Second, 0)

			// The API server dies, and returns.
			g.c.StopServer(syscall.SIGKILL)
			time.Sleep(5 * time.Second)
			g.poke()
			g.wantShort(crossings, "without an API server")
			g.c.StartServer()
			loss.want("the API server was away", 0, 0)

			// A pod moves, with its address.
			g.pods[0].Stop()
			g.n.Nodes[2].DropRoute(g.podAddrs[0])
			g.n.Nodes[2].RunPod("web-9", g.podAddrs[0].String())
			harness.Eventually(t, "the pod at its new place", func() bool { return g.get(g.podAddrs[0], 100*time.Millisecond) == nil })
			harness.Eventually(t, "answer of its new node alone", func() bool { // the old one hears of it, too
				return slices.Equal(answers(g.n, g.a, g.podAddrs[0], 100*time.Millisecond), []int{2})
			})
			g.poke()
			g.wantShort(crossings, "a pod moved")
			loss.want("a pod moved", 4*time.Second, 4*time.Second)

			// A planned stop.
			g.daemons[before[0]].Signal(syscall.SIGTERM)
			time.Sleep(3 * time.Second)
			for _, s := range g.services {
				if err := harness.Undisturbed(func() error { return g.get(s, 2*time.Second) }); err != nil {
					t.Errorf("after a planned stop: service %s: %v", s, err)
				}
			}
			loss.wantHandedOver("a planned stop")
			g.poke()
			g.wantShort(crossings, "after a planned stop")
		})
	}
}
