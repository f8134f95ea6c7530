// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

var listAll = metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=ndproxyd"}

// local makes a service with a Local policy, whose only endpoint is on a node.
func local(b *testing.B, c *cluster.Cluster, name, node string) (address netip.Addr, slice *discoveryv1.EndpointSlice) {
	policy, ready := corev1.ServiceInternalTrafficPolicyLocal, true
	address = c.CreateService(name, func(s *corev1.Service) { s.Spec.InternalTrafficPolicy = &policy })
	slice, err := c.Client.DiscoveryV1().EndpointSlices("default").Create(context.Background(), &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}}, AddressType: discoveryv1.AddressTypeIPv6,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"2001:db8:1:0:f::50"}, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	}, metav1.CreateOptions{})
	harness.Must(b, err)
	return address, slice
}

// answeredBy asks once for an address, and reports whether a node answers.
func answeredBy(p *harness.Port, a netip.Addr, mac conformance.MAC) bool {
	is := func(f []byte) bool {
		return bytes.Equal(f[6:12], mac[:]) && [16]byte(f[62:78]) == a.As16() && f[58]&0x40 != 0
	}
	p.Send(conformance.Solicitation(a).Bytes())
	return slices.ContainsFunc(p.Advertisements(2*time.Millisecond, is), is)
}

// BenchmarkCallIn takes the time from the move of a Local policy's only endpoint, among 40
// nodes, to a node that stands by, to the first answer of that node. In the end 200 such
// addresses come at once.
func BenchmarkCallIn(b *testing.B) {
	const nodes, addresses = ownership.MaxAnnouncers + 8, 200
	c := cluster.Start(b)
	n := cluster.NewNetwork(b, c, nodes)
	var ds []*harness.Daemon
	for _, node := range n.Nodes {
		ds = append(ds, run(b, node))
	}
	standing := func() (by []string) {
		for i, d := range ds {
			if d.Status().Cluster.Standby {
				by = append(by, n.Nodes[i].Name)
			}
		}
		return by
	}
	await := func(what string, count int) (by []string) {
		for end := time.Now().Add(5 * time.Minute); len(by) != count; time.Sleep(time.Second) {
			if by = standing(); time.Now().After(end) {
				b.Fatalf("%s: %v stand by", what, by)
			}
		}
		return by
	}
	p := port(b, n)
	for b.Loop() {
		by := await("at first", nodes-ownership.MaxAnnouncers)
		announcing := n.Nodes[0].Name
		for _, node := range n.Nodes {
			if node.Name != by[0] && node.Name != by[1] {
				announcing = node.Name
				break
			}
		}
		address, slice := local(b, c, "moves", announcing)
		if !harness.Answered(p, address, time.Minute) {
			b.Fatal("no answer before")
		}
		var moved []time.Duration
		for _, node := range by {
			slice.Endpoints[0].NodeName = &node
			var err error
			begin := time.Now()
			slice, err = c.Client.DiscoveryV1().EndpointSlices("default").Update(context.Background(), slice, metav1.UpdateOptions{})
			harness.Must(b, err)
			for !answeredBy(p, address, n.Nodes[slices.IndexFunc(n.Nodes, func(x *cluster.Node) bool { return x.Name == node })].MAC) {
				if time.Since(begin) > time.Minute {
					b.Fatalf("no answer by %s", node)
				}
			}
			moved = append(moved, time.Since(begin))
		}
		harness.Report(b, "moved", moved)
		c.DeleteService("moves")
		by = await("after the moves", nodes-ownership.MaxAnnouncers)
		var all []netip.Addr
		begin := time.Now()
		for i := range addresses {
			a, _ := local(b, c, fmt.Sprintf("l%d", i), by[i%len(by)])
			all = append(all, a)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "made-s")
		unanswered := 0
		for _, a := range all {
			if !harness.Answered(p, a, 10*time.Second) {
				unanswered++
			}
		}
		b.ReportMetric(time.Since(begin).Seconds(), "all-answered-s")
		b.ReportMetric(float64(unanswered), "unanswered")
		b.ReportMetric(0, "ns/op")
	}
}
