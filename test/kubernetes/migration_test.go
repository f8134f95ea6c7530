// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestMigration moves a virtual machine with its address from one node to another, as
// KubeVirt does, while the kernels of both have a route to a pod of their own.
func TestMigration(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 2)
	a, from, to := n.Asker(), n.Nodes[0], n.Nodes[1]
	machine := addr("2001:db8:1:0:f::5")
	route := func(node *cluster.Node, last byte) {
		t.Helper()
		harness.Must(t, node.Veth("cali1", conformance.MAC{2, 0, 0, 6, last, 1}, harness.Namespace(t), "eth0", conformance.MAC{2, 0, 0, 6, last, 2}))
		harness.Must(t, node.Route(machine.String()+"/128", "", "cali1"))
	}
	patch := func(pod, metadata string) {
		t.Helper()
		_, err := c.Client.CoreV1().Pods("default").Patch(context.Background(), pod, "application/merge-patch+json", []byte(`{"metadata":`+metadata+`}`), metav1.PatchOptions{})
		harness.Must(t, err)
	}
	labels := func(ls map[string]string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Labels = ls }
	}
	who := func(what string, want ...int) {
		t.Helper()
		harness.Eventually(t, what, func() bool { return slices.Equal(answers(n, a, machine, harness.Quiet), want) })
	}
	c.CreatePod("source", from.Name, machine, labels(map[string]string{"kubevirt.io": "virt-launcher", "kubevirt.io/nodeName": from.Name}))
	route(from, 1)
	run(t, from, "", podRules)
	d := run(t, to, "", podRules)
	who("the source", 0)

	target := c.CreatePod("target", to.Name, addr("2001:db8:1:0:f::99"), labels(map[string]string{"kubevirt.io": "virt-launcher", "kubevirt.io/migrationJobUID": "j", "kubevirt.io/nodeName": from.Name}))
	harness.Eventually(t, "the target's pod", func() bool {
		e := d.Explain(addr("2001:db8:1:0:f::99")).Answers[0]
		return e.Cluster != nil && e.Cluster.Absent != ""
	})
	c.SetPod(target, corev1.PodRunning, machine)
	harness.Eventually(t, "the target's address", func() bool {
		e := d.Explain(machine).Answers[0]
		return e.Reason == "not_local" && strings.Contains(e.Why, "its virtual machine has not arrived yet")
	})
	route(to, 2)
	frames, _ := a.Unsolicited(machine, 300*time.Millisecond)
	if slices.ContainsFunc(frames, func(f []byte) bool { return conformance.MAC(f[6:12]) == to.MAC }) {
		t.Error("the target announces the machine before it is there")
	}
	who("the source while the machine is copied", 0)

	// The machine runs at the target, which KubeVirt says of one pod after the other.
	patch("target", `{"labels":{"kubevirt.io/nodeName":"`+to.Name+`"},"annotations":{"kubevirt.io/migration-target-ready-timestamp":"`+time.Now().String()+`"}}`)
	harness.Eventually(t, "an announcement", func() bool {
		f := a.Hear(machine, harness.Quiet)
		return f != nil && conformance.MAC(f[6:12]) == to.MAC && f[58]&0x20 != 0
	})
	patch("source", `{"labels":{"kubevirt.io/nodeName":"`+to.Name+`"}}`)
	who("the target", 1)
}
