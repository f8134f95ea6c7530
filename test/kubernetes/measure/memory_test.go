// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"fmt"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// BenchmarkMemory reads 10,000 services with a Local policy and their EndpointSlices from
// an API server that does not stream lists, with the memory limit of the chart, and
// reports the most that was resident.
func BenchmarkMemory(b *testing.B) {
	c := cluster.Start(b, "--feature-gates=WatchList=false")
	n := cluster.NewNetwork(b, c, 1)
	parallel(services, func(i int) {
		name := fmt.Sprintf("s%d", i)
		c.CreateService(name, func(s *corev1.Service) {
			s.Spec.Type, s.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
		})
		node, port := n.Nodes[0].Name, int32(80)
		_, err := c.Client.DiscoveryV1().EndpointSlices("default").Create(context.Background(), &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: name + "-x", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			AddressType: discoveryv1.AddressTypeIPv6,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"2001:db8:1:0:f::5"}, NodeName: &node}},
			Ports:       []discoveryv1.EndpointPort{{Port: &port}},
		}, metav1.CreateOptions{})
		harness.Must(b, err)
	})
	for b.Loop() {
		for _, limit := range []string{"", "241591910"} { // none, and the chart's
			if err := os.Setenv("GOMEMLIMIT", limit); err != nil {
				b.Fatal(err)
			}
			d := run(b, n.Nodes[0])
			d.Wait("everything", func(s status.Status) bool {
				return s.Cluster.ServiceAddresses > services && s.Cluster.OwnedAddresses > services/2
			})
			b.ReportMetric(memory(b, d.Process.Pid, "VmHWM:")/(1<<20), "MiB-peak"+map[bool]string{true: "-without-limit"}[limit == ""])
			harness.Must(b, d.Process.Kill())
			d.Exit()
		}
		b.ReportMetric(0, "ns/op")
	}
}
