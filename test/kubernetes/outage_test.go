// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

const both = podRules + "  - {prefix: \"2001:db8:1:0:e::/112\", method: services}\n"

// TestOutage takes the API server away under load, kills an owner and starts a
// daemon meanwhile, and brings the server back.
func TestOutage(t *testing.T) {
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 2)
	a := n.Asker()
	pod := addr("2001:db8:1:0:f::5")
	c.CreatePod("p", n.Nodes[0].Name, pod)
	targets := services(c, "s", 6)
	daemons := make([]*harness.Daemon, 2)
	for i, node := range n.Nodes {
		daemons[i] = run(t, node, settle, both)
	}
	settled(t, n, a, daemons, targets)
	targets = spread(t, n, a, targets, func(i int) netip.Addr { return c.CreateService(fmt.Sprintf("more-%d", i)) })
	before := owners(t, n, a, targets)
	a.WantAnswer(pod)
	onDisk(t, n.Nodes[0], "pods", quoted([]netip.Addr{pod})...)
	for _, node := range n.Nodes {
		onDisk(t, node, "services", quoted(targets)...)
		onDisk(t, node, "leases", hasSettled, hasSettled)
		onDisk(t, node, "node_addresses", quoted([]netip.Addr{n.Nodes[0].Addr, n.Nodes[1].Addr})...)
	}

	c.StopServer(syscall.SIGKILL)
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); {
		for i, target := range append([]netip.Addr{pod}, targets...) {
			if !a.Answered(target) {
				t.Fatalf("address %d is not answered for while the API server is away", i)
			}
		}
	}
	daemons[0].Wait("frozen", func(s status.Status) bool { return s.Cluster.Frozen })
	if now := owners(t, n, a, targets); !slices.Equal(now, before) {
		t.Errorf("owners went from %v to %v", before, now)
	}
	fault := false
	for _, s := range daemons[0].Status().Cluster.Sources {
		fault = fault || s.Fault != ""
	}
	if !fault {
		t.Error("the status does not tell that the server is away")
	}

	// An owner dies: the link tells.
	target := targets[slices.Index(before, 1)]
	harness.Must(t, daemons[1].Process.Kill())
	died := time.Now()
	harness.Eventually(t, "another owner", func() bool { return slices.Equal(answers(n, a, target, 20*time.Millisecond), []int{0}) })
	t.Logf("answered again after %s", time.Since(died))

	// A daemon that starts now answers from its snapshot, and leaves alone what
	// another has taken over.
	daemons[1].Exit()
	daemons[1] = run(t, n.Nodes[1], "  settle: 8s\n", both) // longer than the look takes
	if got := answers(n, a, target, 300*time.Millisecond); !slices.Equal(got, []int{0}) {
		t.Errorf("right after the return the owners of one address are %v", got)
	}
	harness.Must(t, daemons[0].Process.Kill())
	daemons[0].Exit()
	daemons[0] = run(t, n.Nodes[0], settle, both)
	a.WantAnswer(pod)
	harness.Eventually(t, "word of the snapshot", func() bool { return strings.Contains(daemons[0].Log(), "answering from the snapshot") })
	harness.Eventually(t, "the owners of before", func() bool { return slices.Equal(owners(t, n, a, targets), before) })

	c.StartServer()
	for _, d := range daemons {
		d.Wait("healed", func(s status.Status) bool {
			for _, src := range s.Cluster.Sources {
				if src.Fault != "" || !src.Synced && src.Source != "own lease" {
					return false
				}
			}
			return !s.Cluster.Frozen
		})
	}
	late := c.CreateService("late")
	wantOwner(t, n, a, late)
	c.DeletePod("p")
	a.WantSilence(pod)
	if now := owners(t, n, a, targets); !slices.Equal(now, before) {
		t.Errorf("owners went from %v to %v", before, now)
	}
}

// TestMassDelete gives the daemon an API server that has lost its storage.
func TestMassDelete(t *testing.T) {
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	a := n.Asker()
	var pods []netip.Addr
	for i := range 12 {
		pods = append(pods, addr(fmt.Sprintf("2001:db8:1:0:f::%x", i+5)))
		c.CreatePod(fmt.Sprintf("p%d", i), n.Nodes[0].Name, pods[i])
	}
	d := run(t, n.Nodes[0], "", podRules)
	for _, p := range pods {
		a.WantAnswer(p)
	}
	c.LoseStorage()
	d.Wait("held pods", func(s status.Status) bool {
		return slices.ContainsFunc(s.Cluster.Sources, func(src status.Source) bool { return src.Source == "pods" && src.Held == len(pods) })
	})
	for _, p := range pods {
		a.WantAnswer(p)
	}
	// What comes back is held no more.
	c.CreateNode(n.Nodes[0].Name, n.Nodes[0].Addr)
	c.CreatePod("p0", n.Nodes[0].Name, pods[0])
	d.Wait("fewer held pods", func(s status.Status) bool {
		return slices.ContainsFunc(s.Cluster.Sources, func(src status.Source) bool { return src.Source == "pods" && src.Held == len(pods)-1 })
	})
}
