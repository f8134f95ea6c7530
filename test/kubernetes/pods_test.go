// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

const podRules = "rules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: pods}\n"

// TestPods looks at which pods are answered for.
func TestPods(t *testing.T) {
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	a := n.Asker()
	node := n.Nodes[0]
	pod := addr("2001:db8:1:0:f::5")
	c.CreatePod("before", node.Name, pod)
	harness.Run(t, node.Namespace, "--config", node.ConfigFor(cluster.AdminToken, "", podRules))
	a.WantAnswer(pod)
	a.WantSilence(addr("2001:db8:1:0:f::6"))

	later := c.CreatePod("later", node.Name, netip.Addr{})
	a.WantSilence(addr("2001:db8:1:0:f::6"))
	later = c.SetPod(later, corev1.PodRunning, addr("2001:db8:1:0:f::6"))
	a.WantAnswer(addr("2001:db8:1:0:f::6"))
	c.SetPod(later, corev1.PodSucceeded, addr("2001:db8:1:0:f::6"))
	a.WantSilence(addr("2001:db8:1:0:f::6"))

	c.DeletePod("before")
	a.WantSilence(pod)
}
