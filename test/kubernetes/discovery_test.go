// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestDiscovery runs without rules: pods and services are found.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	a := n.Asker()
	pod := addr("2001:db8:1:0:f::5")
	c.CreatePod("p", n.Nodes[0].Name, pod)
	service := c.CreateService("s")
	d := run(t, n.Nodes[0], "", "")
	a.WantAnswer(pod)
	a.WantAnswer(service)
	a.WantSilence(addr("2001:db8:1:0:f::6"))
	a.WantSilence(addr("2001:db8:1:0:e::fffe"))

	// Another prefix for services is added to the cluster.
	more, err := c.Client.NetworkingV1().ServiceCIDRs().Create(context.Background(), &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "more"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"2001:db8:1:0:c::/112"}},
	}, metav1.CreateOptions{})
	harness.Must(t, err)
	harness.Eventually(t, "its rule", func() bool { return d.Explain(addr("2001:db8:1:0:c::5")).Answers[0].Reason == "not_allocated" })
	harness.Must(t, c.Client.NetworkingV1().ServiceCIDRs().Delete(context.Background(), more.Name, metav1.DeleteOptions{}))
}
