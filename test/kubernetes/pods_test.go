// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

const podRules = "rules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: pods}\n"

// TestPods looks at which pods are answered for.
func TestPods(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	c.CreateNode("elsewhere", addr("2001:db8:1::99"))
	a, node := n.Asker(), n.Nodes[0]
	early := addr("2001:db8:1:0:f::5")
	c.CreatePod("early", node.Name, early)
	d := run(t, node, "", podRules)
	a.WantAnswer(early)
	if e := d.Explain(early).Answers[0]; e.Cluster == nil || e.Cluster.Pod != "default/early" {
		t.Errorf("explained as %+v", e)
	}

	late := addr("2001:db8:1:0:f::6")
	p := c.CreatePod("late", node.Name, netip.Addr{})
	a.WantSilence(late)
	p = c.SetPod(p, corev1.PodRunning, late)
	a.WantAnswer(late)
	c.SetPod(p, corev1.PodSucceeded, late)
	a.WantSilence(late)

	c.DeletePod("early")
	a.WantSilence(early)

	host, other := addr("2001:db8:1:0:f::7"), addr("2001:db8:1:0:f::8")
	c.CreatePod("host", node.Name, host, func(p *corev1.Pod) { p.Spec.HostNetwork = true })
	c.CreatePod("other", "elsewhere", other)

	// A network writes its annotation before the kubelet writes the status.
	annotated := addr("2001:db8:1:0:f::9")
	calico := c.CreatePod("calico", node.Name, netip.Addr{}, func(p *corev1.Pod) {
		p.Annotations = map[string]string{"cni.projectcalico.org/podIPs": annotated.String() + "/128"}
	})
	a.WantAnswer(annotated)
	ovn := addr("2001:db8:1:0:f::a")
	c.CreatePod("ovn", node.Name, netip.Addr{}, func(p *corev1.Pod) {
		p.Annotations = map[string]string{"k8s.ovn.org/pod-networks": `{"default":{"ip_addresses":["10.0.0.5/24","` + ovn.String() + `/64"]}}`}
	})
	a.WantAnswer(ovn)
	for _, silent := range []netip.Addr{host, other} {
		a.WantSilence(silent)
	}

	// A pod that ends keeps its address until its network has taken it.
	c.SetPod(calico, corev1.PodRunning, annotated)
	pods := c.Client.CoreV1().Pods("default")
	_, err := pods.Patch(context.Background(), "calico", "application/merge-patch+json", []byte(`{"metadata":{"finalizers":["example.org/wait"]}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	harness.Must(t, pods.Delete(context.Background(), "calico", metav1.DeleteOptions{}))
	time.Sleep(200 * time.Millisecond)
	a.WantAnswer(annotated)
	_, err = pods.Patch(context.Background(), "calico", "application/merge-patch+json", []byte(`{"metadata":{"annotations":{"cni.projectcalico.org/podIP":""}}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	a.WantSilence(annotated)
	_, err = pods.Patch(context.Background(), "calico", "application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	harness.Must(t, err)

	// The kernel tells of a pod first, and of one that has moved away.
	harness.Must(t, node.Veth("cali1", conformance.MAC{2, 0, 0, 6, 0, 1}, harness.Namespace(t), "eth0", conformance.MAC{2, 0, 0, 6, 0, 2}))
	routed := addr("2001:db8:1:0:f::b")
	harness.Must(t, node.Route(routed.String()+"/128", "", "cali1"))
	a.WantAnswer(routed)
	harness.Must(t, node.Route(ovn.String()+"/128", "2001:db8:1::99", harness.Uplink, onLink))
	a.WantSilence(ovn)
	if e := d.Explain(ovn).Answers[0]; e.Reason != "not_local" || e.Entry == nil || !strings.Contains(e.Entry.Route, "uplink") {
		t.Errorf("a pod that has moved is explained as %+v", e)
	}
}

func onLink(r *netlink.Route) { r.Flags |= int(netlink.FLAG_ONLINK) }
