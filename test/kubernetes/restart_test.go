// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestServerRestarts starts the API server anew three times, under the account of the
// manifests: a server that starts forbids for a while what it permits later. Addresses
// of Local policies stay with the node that has the endpoint.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	const count, restarts = 12, 3
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 2)
	a := n.Asker()
	c.ApplyFile("deploy/kubernetes/rbac.yaml")
	local := corev1.ServiceInternalTrafficPolicyLocal
	var targets []netip.Addr
	var want []int
	for i := range count {
		name := fmt.Sprint("local-", i)
		targets = append(targets, c.CreateService(name, func(s *corev1.Service) { s.Spec.InternalTrafficPolicy = &local }))
		want = append(want, i%len(n.Nodes))
		endpoint(t, c, name, n.Nodes[want[i]].Name)
	}
	var daemons []*harness.Daemon
	for _, node := range n.Nodes {
		config := node.ConfigFor(c.AgentToken(node.Name), settle, serviceRules)
		harness.ReplaceIn(t, config, "namespace: default", "namespace: ndproxyd")
		daemons = append(daemons, harness.Run(t, node.Namespace, "--config", config))
	}
	harness.Eventually(t, "one owner each, with the endpoint", func() bool { return slices.Equal(owners(t, n, a, targets), want) })

	for i := range restarts {
		c.StopServer(syscall.SIGKILL)
		c.StartServer()
		for _, d := range daemons {
			d.Wait("healed", func(s status.Status) bool {
				return len(s.Waiting) == 0 && !s.Cluster.Frozen && !slices.ContainsFunc(s.Cluster.Sources, func(src status.Source) bool { return src.Fault != "" || !src.Synced })
			})
		}
		if now := owners(t, n, a, targets); !slices.Equal(now, want) {
			t.Errorf("restart %d: the owners are %v, want %v", i+1, now, want)
		}
	}
	for i, d := range daemons {
		t.Logf("node %d: 403 from a server that starts: %t", i+1, strings.Contains(d.Log(), "forbids a request"))
		if strings.Contains(d.Log(), "lacks a permission") {
			t.Errorf("node %d takes a server that starts for one that permits nothing:\n%s", i+1, d.Log())
		}
	}
}
