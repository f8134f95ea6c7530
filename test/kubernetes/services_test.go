// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// balanced gives a service load-balancer addresses as a controller does.
func balanced(t *testing.T, c *cluster.Cluster, name string, in ...corev1.LoadBalancerIngress) {
	t.Helper()
	s, err := c.Client.CoreV1().Services("default").Get(context.Background(), name, metav1.GetOptions{})
	harness.Must(t, err)
	s.Status.LoadBalancer.Ingress = in
	_, err = c.Client.CoreV1().Services("default").UpdateStatus(context.Background(), s, metav1.UpdateOptions{})
	harness.Must(t, err)
}

// externalIP gives a service an external address.
func externalIP(a netip.Addr) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.ExternalIPs = []string{a.String()} }
}

// TestServices looks at which addresses of services are answered for.
func TestServices(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	a := n.Asker()
	plain := c.CreateService("plain")
	class := "example.org/other"
	balancer := func(s *corev1.Service) {
		s.Spec.Type = corev1.ServiceTypeLoadBalancer
		s.Labels = map[string]string{"expose": "yes"}
	}
	proxied, external, vip := addr("2001:db8:1:0:d::1"), addr("2001:db8:1:0:d::2"), addr("2001:db8:1:0:d::3")
	foreign := addr("2001:db8:1:0:d::4")
	c.CreateService("lb", balancer)
	mode := corev1.LoadBalancerIPModeProxy
	balanced(t, c, "lb", corev1.LoadBalancerIngress{IP: vip.String()}, corev1.LoadBalancerIngress{IP: proxied.String(), IPMode: &mode}, corev1.LoadBalancerIngress{IP: "192.0.2.1"})
	c.CreateService("classy", balancer, func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class })
	balanced(t, c, "classy", corev1.LoadBalancerIngress{IP: foreign.String()})
	c.CreateService("ext", func(s *corev1.Service) {
		s.Spec.ExternalIPs = []string{external.String(), "192.0.2.2"}
		s.Labels = map[string]string{"expose": "yes"}
	})
	headless, other := addr("2001:db8:1:0:d::5"), addr("2001:db8:1:0:d::6")
	c.CreateService("headless", func(s *corev1.Service) {
		s.Spec.ClusterIP, s.Spec.ExternalIPs = corev1.ClusterIPNone, []string{headless.String()}
		s.Labels = map[string]string{"expose": "yes"}
	})
	left := c.CreateService("left", func(s *corev1.Service) {
		s.Spec.ExternalIPs = []string{other.String()}
		s.Labels = map[string]string{"service.kubernetes.io/service-proxy-name": "other", "expose": "yes"}
	})

	const both = "rules:\n  - {prefix: \"2001:db8:1:0:e::/112\", method: services}\n  - {prefix: \"2001:db8:1:0:d::/112\", method: services}\n"
	const wide = "rules:\n  - {prefix: \"2001:db8:1:0:c::/78\", method: services}\n"
	tests := []struct {
		name, services, rules string
		answered, silent      []netip.Addr
		why                   map[netip.Addr]string // part of the sentence
	}{
		{
			"all", "", both, []netip.Addr{plain, external, vip, foreign}, []netip.Addr{proxied, headless, other, left, addr("2001:db8:1:0:d::9"), addr("2001:db8:1:0:e::fffe")},
			map[netip.Addr]string{proxied: "default/lb has the address, but it does not count: its load balancer", headless: "it is headless", other: "service-proxy-name"},
		},
		{"by kind", "  services: {kinds: [cluster-ip, external-ip]}\n", both, []netip.Addr{plain, external}, []netip.Addr{vip, foreign}, map[netip.Addr]string{vip: "the kind load-balancer"}},
		{"by label", "  services: {selector: expose=yes}\n", both, []netip.Addr{external, vip, foreign}, []netip.Addr{plain, headless}, map[netip.Addr]string{plain: "services.selector"}},
		{"by class", "  services: {load_balancer_classes: [\"\"]}\n", both, []netip.Addr{plain, external, vip}, []netip.Addr{foreign}, map[netip.Addr]string{foreign: class}},
		{
			"a rule that is about more than cluster IPs", "", wide, []netip.Addr{external, vip, foreign}, []netip.Addr{plain, headless},
			map[netip.Addr]string{plain: "default/plain has the address as cluster-ip, and the rule answers for load-balancer, external-ip only"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := run(t, n.Nodes[0], tt.services, tt.rules)
			for _, target := range tt.answered {
				a.WantAnswer(target)
			}
			for _, target := range tt.silent {
				a.WantSilence(target)
			}
			for target, why := range tt.why {
				if e := d.Explain(target).Answers[0]; !strings.Contains(e.Why, why) {
					t.Errorf("%s is silent because %q", target, e.Why)
				}
			}
			if e := d.Explain(tt.answered[0]).Answers[0]; e.Cluster == nil || e.Cluster.Service == "" || e.Cluster.Owner != "n1" {
				t.Errorf("explained as %+v", e.Cluster)
			}
			harness.Must(t, d.Process.Kill())
			d.Exit()
		})
	}
}

// endpoint makes the EndpointSlice of a service, with a ready endpoint on each of some
// nodes.
func endpoint(t *testing.T, c *cluster.Cluster, service string, nodes ...string) *discoveryv1.EndpointSlice {
	t.Helper()
	ready := true
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv6,
	}
	for i, node := range nodes {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf("2001:db8:1:0:f::%x", i+0x50)}, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		})
	}
	slice, err := c.Client.DiscoveryV1().EndpointSlices("default").Create(context.Background(), slice, metav1.CreateOptions{})
	harness.Must(t, err)
	return slice
}

// TestLocalPolicy gives a service to the node that has its endpoint.
func TestLocalPolicy(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 2)
	a := n.Asker()
	local := corev1.ServiceInternalTrafficPolicyLocal
	target := c.CreateService("local", func(s *corev1.Service) { s.Spec.InternalTrafficPolicy = &local })
	d := run(t, n.Nodes[0], settle, serviceRules)
	run(t, n.Nodes[1], settle, serviceRules)
	slicesAPI := c.Client.DiscoveryV1().EndpointSlices("default")
	slice := endpoint(t, c, "local")
	a.WantSilence(target) // it has no endpoint
	var err error
	ready := true
	for _, i := range []int{1, 0, 1} {
		slice.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"2001:db8:1:0:f::5"}, NodeName: &n.Nodes[i].Name, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}}
		slice, err = slicesAPI.Update(context.Background(), slice, metav1.UpdateOptions{})
		harness.Must(t, err)
		harness.Eventually(t, "the endpoint's node", func() bool { return slices.Equal(answers(n, a, target, 50*time.Millisecond), []int{i}) })
		harness.Eventually(t, "the first node to hear of it, too", func() bool {
			e := d.Explain(target).Answers[0].Cluster
			return e != nil && slices.Equal(e.Endpoints, []string{n.Nodes[i].Name})
		})
	}
	// The only endpoint terminates and serves, until it does not; then there is one
	// without a node.
	yes, no := true, false
	set := func(c discoveryv1.EndpointConditions) {
		slice.Endpoints[0].Conditions = c
		slice, err = slicesAPI.Update(context.Background(), slice, metav1.UpdateOptions{})
		harness.Must(t, err)
	}
	why := func() string { return d.Explain(target).Answers[0].Why }
	set(discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes})
	harness.Eventually(t, "the endpoint to terminate", func() bool {
		e := d.Explain(target).Answers[0].Cluster
		return e != nil && len(e.Services) == 1 && slices.Equal(e.Services[0].Terminating, []string{n.Nodes[1].Name})
	})
	a.WantAnswer(target)
	set(discoveryv1.EndpointConditions{Ready: &no, Serving: &no, Terminating: &yes})
	harness.Eventually(t, "the reason", func() bool { return strings.Contains(why(), "no endpoint of it serves") })
	a.WantSilence(target)
	slice.Endpoints[0].NodeName = nil
	set(discoveryv1.EndpointConditions{Ready: &yes})
	harness.Eventually(t, "an answer for an endpoint without a node", func() bool { return len(answers(n, a, target, 50*time.Millisecond)) == 1 })
}

// TestOwnershipModes lets every node answer.
func TestOwnershipModes(t *testing.T) {
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 3)
	a := n.Asker()
	target := c.CreateService("one")
	for mode, within := range map[string]time.Duration{"all": 200 * time.Millisecond, "anycast": 1500 * time.Millisecond} {
		t.Run(mode, func(t *testing.T) {
			for _, node := range n.Nodes {
				d := run(t, node, "  ownership: "+mode+"\n", serviceRules)
				defer func() {
					harness.Must(t, d.Process.Kill())
					d.Exit()
				}()
			}
			harness.Eventually(t, "an answer of each node", func() bool { return len(answers(n, a, target, within)) == 3 })
			if mode != "anycast" {
				return
			}
			a.Port.Send(conformance.Solicitation(target).Bytes())
			begin := time.Now()
			var last time.Duration
			a.Port.Advertisements(within, func([]byte) bool { last = time.Since(begin); return false })
			if last < 20*time.Millisecond {
				t.Errorf("the last answer came after %s: they should be spread over a second", last)
			}
		})
	}
}

// TestReasons meets the reasons for silence that take a cluster.
func TestReasons(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 2)
	a := n.Asker()
	services(c, "s", 24) // so that the other node owns some
	external := addr("2001:db8:1:0:d::2")
	c.CreateService("ext", externalIP(external))
	ofNode := addr("2001:db8:1:0:d::7")
	c.CreateNode("elsewhere", ofNode)
	c.CreateService("taken", externalIP(ofNode))
	d := run(t, n.Nodes[0], settle, podRules+"  - {prefix: \"2001:db8:1:0:e::/112\", method: services}\n  - {prefix: \"2001:db8:1:0:d::/112\", method: services, kinds: [load-balancer]}\n")
	other := run(t, n.Nodes[1], settle, serviceRules)
	settled(t, n, a, []*harness.Daemon{d, other}, nil) // until then no address is the first node's
	targets := map[ndp.Reason]netip.Addr{ndp.Silent(rules.NotLocal): addr("2001:db8:1:0:f::77"), ndp.Silent(rules.NotAllocated): addr("2001:db8:1:0:e::fffe"), ndp.Silent(rules.OtherKind): external, ndp.Silent(rules.NodeAddress): ofNode}
	harness.Eventually(t, "an address of the other node", func() bool {
		list, err := c.Client.CoreV1().Services("default").List(context.Background(), metav1.ListOptions{})
		harness.Must(t, err)
		for _, s := range list.Items {
			if e := d.Explain(addr(s.Spec.ClusterIP)).Answers[0]; e.Reason == ndp.Silent(rules.NotOwner).String() {
				targets[ndp.Silent(rules.NotOwner)] = addr(s.Spec.ClusterIP)
			}
		}
		return targets[ndp.Silent(rules.NotOwner)].IsValid()
	})
	for _, r := range conformance.Clustered() {
		before := d.Status().Uplinks[0].Ignored[r.String()]
		a.Port.Send(conformance.Solicitation(targets[r]).Bytes())
		harness.Eventually(t, "reason "+r.String(), func() bool { return d.Status().Uplinks[0].Ignored[r.String()] > before })
	}
}
