// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"

	"github.com/ndproxyd/ndproxyd/internal/allocator"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// allocate runs an allocator until the test ends, or until stop is called.
func allocate(t *testing.T, c *cluster.Cluster, identity, config string) (stop func()) {
	t.Helper()
	parsed, err := allocator.Parse([]byte(config))
	harness.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- allocator.Run(ctx, allocator.Options{
			Config: parsed, REST: rest.CopyConfig(c.Config), Namespace: "default", Identity: identity, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("allocator %s: %v", identity, err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// ofOurClass makes a service a load balancer of our class.
func ofOurClass(s *corev1.Service) {
	class := allocator.DefaultClass
	s.Spec.Type, s.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, &class
}

// given waits until the status of a service satisfies a condition, and returns its
// address.
func given(t *testing.T, c *cluster.Cluster, name string, is func(a netip.Addr) bool) netip.Addr {
	t.Helper()
	var a netip.Addr
	harness.Eventually(t, "address of service "+name, func() bool {
		s, err := c.Client.CoreV1().Services("default").Get(context.Background(), name, metav1.GetOptions{})
		harness.Must(t, err)
		a = netip.Addr{}
		if in := s.Status.LoadBalancer.Ingress; len(in) > 0 {
			a = netip.MustParseAddr(in[0].IP)
		}
		return is(a)
	})
	return a
}

// TestAllocator has services get their addresses from pools, and the router reach them.
func TestAllocator(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 2)
	const pools = "version: 1\npools:\n  - {name: small, prefixes: [\"2001:db8:1:0:d::/126\"]}\n  - {name: node, prefixes: [\"2001:db8:1::1:0/124\"], manual: true}\n"
	for _, node := range n.Nodes {
		run(t, node, "", "rules:\n  - {prefix: \"2001:db8:1:0:d::/112\", method: services}\n")
	}
	a := n.Asker()
	first := allocate(t, c, "first", pools)
	c.CreateService("one", ofOurClass)
	one := given(t, c, "one", netip.Addr.IsValid)
	if one != addr("2001:db8:1:0:d::1") {
		t.Errorf("the first address is %s", one)
	}
	a.WantAnswer(one)

	t.Log("a second process takes over, and leaves everything where it is")
	second := allocate(t, c, "second", pools)
	first()
	c.CreateService("two", ofOurClass, func(s *corev1.Service) {
		s.Annotations = map[string]string{"metallb.io/loadBalancerIPs": "2001:db8:1:0:d::3"}
	})
	a.WantAnswer(given(t, c, "two", func(a netip.Addr) bool { return a == addr("2001:db8:1:0:d::3") }))
	given(t, c, "one", func(a netip.Addr) bool { return a == one })

	t.Log("what cannot be had is told, and comes when it can")
	c.CreateService("taken", ofOurClass, func(s *corev1.Service) {
		s.Annotations = map[string]string{"ndproxyd.github.io/addresses": n.Nodes[0].Addr.String()}
	})
	told(t, c, "taken", "AddressNotAssigned", "is an address of node n1")
	c.CreateService("three", ofOurClass)
	given(t, c, "three", netip.Addr.IsValid)
	c.CreateService("four", ofOurClass)
	told(t, c, "four", "AddressNotAssigned", `pool "small" is full`)
	c.DeleteService("one")
	a.WantAnswer(given(t, c, "four", func(a netip.Addr) bool { return a == one }))

	t.Log("two share one address by their key")
	for port, name := range map[int32]string{80: "http", 443: "https"} {
		s, err := c.Client.CoreV1().Services("default").Create(context.Background(), &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{
				"ndproxyd.github.io/share": "web", "ndproxyd.github.io/addresses": "2001:db8:1::1:9",
			}},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: new(allocator.DefaultClass),
				Ports: []corev1.ServicePort{{Port: port, TargetPort: intstr.FromInt32(8080)}},
			},
		}, metav1.CreateOptions{})
		harness.Must(t, err)
		given(t, c, s.Name, func(a netip.Addr) bool { return a == addr("2001:db8:1::1:9") })
	}

	t.Log("another type gives the address back, and a class that is not ours gets none")
	s, err := c.Client.CoreV1().Services("default").Get(context.Background(), "two", metav1.GetOptions{})
	harness.Must(t, err)
	s.Spec.Type, s.Spec.LoadBalancerClass = corev1.ServiceTypeClusterIP, nil
	_, err = c.Client.CoreV1().Services("default").Update(context.Background(), s, metav1.UpdateOptions{})
	harness.Must(t, err)
	given(t, c, "two", func(a netip.Addr) bool { return !a.IsValid() })
	a.WantSilence(addr("2001:db8:1:0:d::3"))
	c.CreateService("other", ofOurClass, func(s *corev1.Service) { s.Spec.LoadBalancerClass = new("example.org/other") })
	c.CreateService("five", ofOurClass)
	given(t, c, "five", func(a netip.Addr) bool { return a == addr("2001:db8:1:0:d::3") })
	given(t, c, "other", func(a netip.Addr) bool { return !a.IsValid() })
	second()
}
