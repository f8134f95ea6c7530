// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// answers asks once for a target and returns the indices of all nodes that
// answer within a time.
func answers(n *cluster.Network, a *harness.Asker, target netip.Addr, within time.Duration) []int {
	isAnswer := a.Port.Round(target)
	var nodes []int
	for _, f := range a.Port.Advertisements(within, harness.Never) {
		if !isAnswer(f) {
			continue
		}
		i := slices.IndexFunc(n.Nodes, func(node *cluster.Node) bool { return bytes.Equal(f[6:12], node.MAC[:]) })
		nodes = append(nodes, i)
	}
	return nodes
}

// wantOwner waits until exactly one node answers for a target, and returns it.
func wantOwner(t *testing.T, n *cluster.Network, a *harness.Asker, target netip.Addr) (owner int) {
	t.Helper()
	harness.Eventually(t, "one owner of "+target.String(), func() bool {
		nodes := answers(n, a, target, 50*time.Millisecond)
		if len(nodes) == 1 {
			owner = nodes[0]
		}
		return len(nodes) == 1
	})
	return owner
}

// spread adds targets until each node owns one: addresses are given by chance.
func spread(t *testing.T, n *cluster.Network, a *harness.Asker, targets []netip.Addr, create func(i int) netip.Addr) []netip.Addr {
	t.Helper()
	owned := make(map[int]bool)
	for i := 0; len(owned) < len(n.Nodes); i++ {
		if i >= len(targets) {
			targets = append(targets, create(i))
		}
		owned[wantOwner(t, n, a, targets[i])] = true
	}
	return targets
}

// owners returns the owner of each target, and fails where there is not one.
func owners(t *testing.T, n *cluster.Network, a *harness.Asker, targets []netip.Addr) []int {
	t.Helper()
	out := make([]int, len(targets))
	for i, target := range targets {
		out[i] = wantOwner(t, n, a, target)
	}
	return out
}
