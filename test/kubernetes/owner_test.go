// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

const (
	serviceRules = "rules:\n  - {prefix: \"2001:db8:1:0:e::/112\", method: services}\n"
	settle       = "  settle: 2s\n"
)

// services creates some services and returns their addresses.
func services(c *cluster.Cluster, prefix string, count int) []netip.Addr {
	var as []netip.Addr
	for i := range count {
		as = append(as, c.CreateService(fmt.Sprintf("%s-%d", prefix, i)))
	}
	return as
}

// run starts the daemon on a node.
func run(t *testing.T, node *cluster.Node, kubernetes, rules string) *harness.Daemon {
	t.Helper()
	return harness.Run(t, node.Namespace, "--config", node.ConfigFor(cluster.AdminToken, kubernetes, rules))
}

// settled waits until all nodes have settled and see that of each other, and each target
// is answered by the node alone that all of them take for its owner.
func settled(t *testing.T, n *cluster.Network, a *harness.Asker, daemons []*harness.Daemon, targets []netip.Addr) {
	t.Helper()
	for _, d := range daemons {
		d.Wait("settled nodes", func(s status.Status) bool {
			return s.Cluster != nil && s.Cluster.Settled && s.Cluster.Announcers == len(daemons) &&
				!slices.ContainsFunc(s.Cluster.Peers, func(p status.Peer) bool { return !p.Settled })
		})
	}
	for _, target := range targets {
		harness.Eventually(t, "answer of the owner of "+target.String(), func() bool {
			got := answers(n, a, target, 50*time.Millisecond)
			return len(got) == 1 && got[0] >= 0 && !slices.ContainsFunc(daemons, func(d *harness.Daemon) bool {
				e := d.Explain(target).Answers[0].Cluster
				return e == nil || e.Owner != n.Nodes[got[0]].Name
			})
		})
	}
}

// heard waits until each daemon hears a number of others on the link.
func heard(t *testing.T, daemons []*harness.Daemon, count int) {
	t.Helper()
	for _, d := range daemons {
		d.Wait("peers that are heard", func(s status.Status) bool {
			heard := 0
			for _, p := range s.Cluster.Peers {
				if p.Heard {
					heard++
				}
			}
			return heard == count
		})
	}
}

// TestOwner follows the owners of services through the life of three nodes.
func TestOwner(t *testing.T) {
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 3)
	a := n.Asker()
	targets := services(c, "s", 12)
	daemons := make([]*harness.Daemon, 3)
	for i, node := range n.Nodes {
		daemons[i] = run(t, node, settle, serviceRules)
	}
	unallocated := addr("2001:db8:1:0:e::fffe")
	settled(t, n, a, daemons, targets)
	targets = spread(t, n, a, targets, func(i int) netip.Addr { return c.CreateService(fmt.Sprintf("more-%d", i)) })
	before := owners(t, n, a, targets)
	t.Log("owners", before)
	a.WantSilence(unallocated)

	// A service that comes is answered by one node, and one that goes by none.
	late := c.CreateService("late")
	wantOwner(t, n, a, late)
	c.DeleteService("late")
	a.WantSilence(late)

	// A node that is killed is replaced, and its addresses alone move.
	victim := before[0]
	harness.Must(t, daemons[victim].Process.Kill())
	died := time.Now()
	harness.Eventually(t, "another owner", func() bool { return a.Ask(targets[0], 20*time.Millisecond) != nil })
	t.Logf("answered again after %s", time.Since(died))
	during := owners(t, n, a, targets)
	for i := range targets {
		if before[i] != victim && during[i] != before[i] || during[i] == victim {
			t.Errorf("%s went from node %d to node %d", targets[i], before[i], during[i])
		}
	}
	// It comes back, waits, and gets them again in one move.
	daemons[victim].Exit()
	returns := func() {
		daemons[victim] = run(t, n.Nodes[victim], "  settle: 8s\n", serviceRules) // longer than the look takes
		time.Sleep(time.Second)
	}
	answered(t, a, targets[0], "on the return of who was killed", returns)
	if now := owners(t, n, a, targets); !slices.Equal(now, during) {
		t.Errorf("owners right after the return are %v, want %v", now, during)
	}
	harness.Eventually(t, "the owners of before", func() bool { return slices.Equal(owners(t, n, a, targets), before) })

	// A planned stop leaves none unanswered, and neither does what follows.
	answered(t, a, targets[0], "at a planned stop", func() {
		daemons[victim].Signal(syscall.SIGTERM)
		time.Sleep(2 * time.Second)
	})
	if code := daemons[victim].Exit(); code != 0 {
		t.Errorf("a planned stop ends with %d", code)
	}
	if now := owners(t, n, a, targets); !slices.Equal(now, during) {
		t.Errorf("owners after the stop are %v, want %v", now, during)
	}
	answered(t, a, targets[0], "on the return after a planned stop", returns)
}

// answered wants every solicitation for a target answered while f runs.
func answered(t *testing.T, a *harness.Asker, target netip.Addr, when string, f func()) {
	t.Helper()
	if got := a.While(target, f); got.Unanswered > 0 {
		t.Errorf("%s: %d of %d solicitations unanswered, longest time without an answer %s", when, got.Unanswered, got.Asked, got.Longest)
	}
}
