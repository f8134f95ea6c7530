// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestDiscovery runs without rules: pods are found, and the service addresses that somebody
// wants to be reached from outside.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	a := n.Asker()
	pod := addr("2001:db8:1:0:f::5")
	c.CreatePod("p", n.Nodes[0].Name, pod)
	vip, external := addr("2001:db8:1:0:b::1"), addr("2001:db8:1:0:b::2")
	service := c.CreateService("s", func(s *corev1.Service) {
		s.Spec.Type, s.Spec.ExternalIPs = corev1.ServiceTypeLoadBalancer, []string{external.String()}
	})
	balanced(t, c, "s", corev1.LoadBalancerIngress{IP: vip.String()})
	d := run(t, n.Nodes[0], "", "")
	for _, target := range []netip.Addr{pod, vip, external} {
		a.WantAnswer(target)
	}
	a.WantSilence(service)
	harness.Eventually(t, "the rule of the cluster IPs", func() bool {
		e := d.Explain(service).Answers[0]
		return e.Reason == "other_kind" && e.Rule.Discovered
	})
	for _, k := range d.Status().Cluster.Kinds {
		if k.Kind == "cluster-ip" && k.Answered > 0 || k.Kind != "cluster-ip" && k.Answered != k.Known {
			t.Errorf("counted as %+v", k)
		}
	}
	a.WantSilence(addr("2001:db8:1:0:f::6"))
	a.WantSilence(addr("2001:db8:1:0:e::fffe"))

	// Another prefix for services is added to the cluster.
	more, err := c.Client.NetworkingV1().ServiceCIDRs().Create(context.Background(), &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "more"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"2001:db8:1:0:c::/112"}},
	}, metav1.CreateOptions{})
	harness.Must(t, err)
	harness.Eventually(t, "its rule", func() bool { return d.Explain(addr("2001:db8:1:0:c::5")).Answers[0].Reason == "not_allocated" })
	harness.Must(t, c.Client.NetworkingV1().ServiceCIDRs().Delete(context.Background(), more.Name, metav1.DeleteOptions{}))
	harness.Must(t, d.Process.Kill())
	d.Exit()
	run(t, n.Nodes[0], "  services: {kinds: [cluster-ip]}\n", "")
	a.WantAnswer(service)
	a.WantSilence(vip)
}
