// SPDX-License-Identifier: Apache-2.0

//go:build full

package kubernetes

import (
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestCut cuts the switch port of a node off without a loss of carrier, and lets all
// daemons start anew at once. Each time there is one owner of each address in the end.
func TestCut(t *testing.T) {
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 3)
	a := n.Asker()
	targets := services(c, "s", 20)
	daemons := make([]*harness.Daemon, len(n.Nodes))
	start := func(i int) { daemons[i] = run(t, n.Nodes[i], settle, serviceRules) }
	one := func() bool {
		return !slices.ContainsFunc(targets, func(target netip.Addr) bool { return len(answers(n, a, target, 20*time.Millisecond)) != 1 })
	}
	// alike waits until all have settled and hear each other.
	alike := func() {
		t.Helper()
		settled(t, n, a, daemons, targets)
		heard(t, daemons, 2)
	}
	for i := range n.Nodes {
		start(i)
	}
	alike()
	before := owners(t, n, a, targets)

	// A port is cut off without a loss of carrier, and comes back.
	detach(t, n, n.Nodes[0])
	harness.Eventually(t, "other owners", one)
	attach(t, n, n.Nodes[0].Name, "link")
	daemons[1].Wait("n1 is heard again", func(s status.Status) bool {
		return slices.ContainsFunc(s.Cluster.Peers, func(p status.Peer) bool { return p.Node == "n1" && p.Heard })
	})
	begun := time.Now()
	harness.Eventually(t, "one owner each", one)
	t.Logf("one owner of each address %s after the cut node was heard", time.Since(begun))
	harness.Eventually(t, "the owners of before", func() bool { return slices.Equal(owners(t, n, a, targets), before) })

	// All daemons are stopped and started at once, as by an update of a package.
	alike()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		begun = time.Now()
		for _, d := range daemons {
			d.Signal(signal)
		}
		for i, d := range daemons {
			d.Exit()
			start(i)
		}
		harness.Eventually(t, "an answer", func() bool { return len(answers(n, a, targets[0], 20*time.Millisecond)) > 0 })
		t.Logf("%s: answered again %s after all were told to end", signal, time.Since(begun))
		harness.Eventually(t, "one owner each", one)
		t.Logf("%s: one owner of each address after %s", signal, time.Since(begun))
		alike()
	}
}
