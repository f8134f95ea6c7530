// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// CreatePod writes a pod of a node that runs, with an address unless that is
// invalid.
func (c *Cluster) CreatePod(name, node string, addr netip.Addr, mods ...func(*corev1.Pod)) *corev1.Pod {
	c.tb.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	p.Spec.AutomountServiceAccountToken = new(bool)
	for _, mod := range mods {
		mod(p)
	}
	created, err := c.Client.CoreV1().Pods("default").Create(context.Background(), p, metav1.CreateOptions{})
	harness.Must(c.tb, err)
	if !addr.IsValid() {
		return created
	}
	return c.SetPod(created, corev1.PodRunning, addr)
}

// SetPod writes a pod's status as a kubelet does.
func (c *Cluster) SetPod(p *corev1.Pod, phase corev1.PodPhase, addr netip.Addr) *corev1.Pod {
	c.tb.Helper()
	p = p.DeepCopy()
	p.Status.Phase = phase
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if addr.IsValid() {
		p.Status.PodIP, p.Status.PodIPs = addr.String(), []corev1.PodIP{{IP: addr.String()}}
	}
	p, err := c.Client.CoreV1().Pods("default").UpdateStatus(context.Background(), p, metav1.UpdateOptions{})
	harness.Must(c.tb, err)
	return p
}

// DeletePod removes a pod at once.
func (c *Cluster) DeletePod(name string) {
	c.tb.Helper()
	harness.Must(c.tb, c.Client.CoreV1().Pods("default").Delete(context.Background(), name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}))
}

// CreateService writes a service and returns its address.
func (c *Cluster) CreateService(name string, mods ...func(*corev1.Service)) netip.Addr {
	c.tb.Helper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	for _, mod := range mods {
		mod(s)
	}
	s, err := c.Client.CoreV1().Services("default").Create(context.Background(), s, metav1.CreateOptions{})
	harness.Must(c.tb, err)
	a, _ := netip.ParseAddr(s.Spec.ClusterIP)
	return a
}

// DeleteService removes a service.
func (c *Cluster) DeleteService(name string) {
	c.tb.Helper()
	harness.Must(c.tb, c.Client.CoreV1().Services("default").Delete(context.Background(), name, metav1.DeleteOptions{}))
}

// Pods returns the pods of a namespace.
func (c *Cluster) Pods(namespace string) []corev1.Pod {
	c.tb.Helper()
	list, err := c.Client.CoreV1().Pods(namespace).List(context.Background(), metav1.ListOptions{})
	harness.Must(c.tb, err)
	return list.Items
}
