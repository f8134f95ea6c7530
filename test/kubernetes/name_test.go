// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestNodeName starts daemons with a name that the cluster does not have, and with one
// that another daemon has.
func TestNodeName(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 2)
	a := n.Asker()
	targets := services(c, "s", 6)
	named := func(node *cluster.Node, token, name string) *harness.Daemon {
		config := node.ConfigFor(token, settle, both)
		harness.ReplaceIn(t, config, "node: "+node.Name+"\n", "node: "+name+"\n")
		return harness.Run(t, node.Namespace, "--config", config)
	}
	end := func(d *harness.Daemon, node *cluster.Node) {
		harness.Must(t, d.Process.Kill())
		d.Exit()
		_ = os.Remove(node.Dir + "/state.json") // which is of another name
	}
	waits := func(s status.Status, word string) bool {
		return slices.ContainsFunc(s.Waiting, func(w status.Waiting) bool { return strings.Contains(w.For, word) })
	}

	// A long name.
	d := named(n.Nodes[1], cluster.AdminToken, "n2.example.org")
	d.Wait("a word of the name", func(s status.Status) bool {
		return s.Cluster.NodeAbsent && slices.Equal(s.Cluster.NodesAlike, []string{"n2"}) && waits(s, "it has n2")
	})
	c.CreateNode("n2.example.org", addr("2001:db8:1::9"))
	d.Wait("the Node", func(s status.Status) bool { return !s.Cluster.NodeAbsent && len(s.Waiting) == 0 })
	end(d, n.Nodes[1])

	// A name that the account does not belong to.
	d = named(n.Nodes[1], cluster.KubeletToken+"2", "n7")
	d.Wait("a word of the account's name", func(s status.Status) bool {
		return s.Cluster.NodeAbsent && slices.Equal(s.Cluster.NodesAlike, []string{"n2"})
	})
	end(d, n.Nodes[1])

	// The name of a node that is there.
	first := run(t, n.Nodes[0], settle, both)
	first.Wait("a lease", func(s status.Status) bool { return len(s.Waiting) == 0 && s.Cluster.Settled })
	second := named(n.Nodes[1], cluster.AdminToken, "n1")
	second.Wait("a word of the namesake", func(s status.Status) bool {
		return strings.Contains(s.Cluster.Namesake, net.HardwareAddr(n.Nodes[0].MAC[:]).String()) && len(s.Waiting) > 0 && s.Cluster.OwnedAddresses == 0
	})
	for _, target := range targets {
		if got := wantOwner(t, n, a, target); got != 0 {
			t.Errorf("%s is answered by node %d", target, got+1)
		}
	}
	if log := second.Log(); strings.Contains(log, "does not answer") || !strings.Contains(log, "another daemon has the name of this node") {
		t.Errorf("the second one logs:\n%s", log)
	}
	if log := first.Log(); strings.Contains(log, "WARN") && strings.Contains(log, "lease") {
		t.Errorf("the first one logs:\n%s", log)
	}
	// A new process of the same host has its lease at once, and the second one has it
	// when there is none.
	end(first, n.Nodes[0])
	first = run(t, n.Nodes[0], settle, both)
	first.Wait("its lease", func(s status.Status) bool { return len(s.Waiting) == 0 && s.Cluster.Namesake == "" })
	harness.Must(t, first.Process.Kill())
	first.Exit()
	second.Wait("the lease", func(s status.Status) bool { return s.Cluster.Namesake == "" && len(s.Waiting) == 0 })
	if got := wantOwner(t, n, a, targets[0]); got != 1 {
		t.Errorf("after the first one has gone node %d answers", got+1)
	}
}
