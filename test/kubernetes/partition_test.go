// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestPartition goes through what keeps the announcers of a link apart while the API
// server is well: other prefixes, and isolated ports.
func TestPartition(t *testing.T) {
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 3)
	a := n.Asker()
	targets := services(c, "s", 20)
	daemons := make([]*harness.Daemon, len(n.Nodes))
	start := func(i int) { daemons[i] = run(t, n.Nodes[i], settle, serviceRules) }
	wantAll := func(when string, owner int) {
		t.Helper()
		harness.Eventually(t, when, func() bool {
			return !slices.ContainsFunc(targets, func(target netip.Addr) bool {
				got := answers(n, a, target, 20*time.Millisecond)
				return len(got) != 1 || owner >= 0 && got[0] != owner
			})
		})
	}

	// The only node on the link has the label of a control plane, and a worker joins that
	// is on another one.
	label(t, c, "n1", corev1.LabelNodeExcludeBalancers+`":""`)
	start(0)
	wantAll("all answers of n1", 0)
	worker := n.Nodes[1]
	elsewhere := addr("2001:db8:9::1:2")
	readdress(t, worker, worker.Addr, elsewhere)
	start(1)
	daemons[1].Wait("services", func(s status.Status) bool {
		return s.Cluster != nil && s.Cluster.ServiceAddresses > 0 && s.Cluster.Settled
	})
	wantAll("all answers of n1 beside the worker", 0)
	readdress(t, worker, elsewhere, worker.Addr)
	label(t, c, "n1", corev1.LabelNodeExcludeBalancers+`":null`)

	// Ports that are isolated before the daemons have heard of each other, and after.
	isolate(t, n, true)
	for _, d := range daemons[:2] { // which have heard each other on the link
		harness.Must(t, d.Process.Kill())
		d.Exit()
	}
	for i := range n.Nodes {
		start(i)
	}
	settled(t, n, a, daemons, targets)
	wantAll("one owner each on isolated ports", -1)
	before := owners(t, n, a, targets)
	isolate(t, n, false)
	heard(t, daemons, 2)
	isolate(t, n, true)
	heard(t, daemons, 0)
	begun := time.Now()
	wantAll("one owner each on ports that were isolated later", -1)
	t.Logf("one owner of each address %s after the last one was missed", time.Since(begun))
	if now := owners(t, n, a, targets); !slices.Equal(now, before) {
		t.Errorf("owners went from %v to %v", before, now)
	}
}

// label sets a label of a Node, as JSON.
func label(t *testing.T, c *cluster.Cluster, node, label string) {
	t.Helper()
	_, err := c.Client.CoreV1().Nodes().Patch(context.Background(), node, types.MergePatchType, []byte(`{"metadata":{"labels":{"`+label+`}}}`), metav1.PatchOptions{})
	harness.Must(t, err)
}
