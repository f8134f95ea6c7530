// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func as(words ...string) []netip.Addr {
	var out []netip.Addr
	for _, w := range words {
		out = append(out, netip.MustParseAddr(w))
	}
	return out
}

func ps(words ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, w := range words {
		out = append(out, netip.MustParsePrefix(w))
	}
	return out
}

// TestReadPod looks at what counts of a pod.
func TestReadPod(t *testing.T) {
	t.Parallel()
	status := corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: "10.0.0.5"}, {IP: "2001:db8::5"}}}
	annotated := metav1.ObjectMeta{Annotations: map[string]string{calicoAddresses: "10.0.0.5/32,2001:db8::6/128"}}
	now := metav1.Now()
	tests := []struct {
		name string
		pod  corev1.Pod
		want []netip.Addr
	}{
		{"status", corev1.Pod{Status: status}, as("2001:db8::5")},
		{"annotation before the status", corev1.Pod{ObjectMeta: annotated, Status: corev1.PodStatus{Phase: corev1.PodPending}}, as("2001:db8::6")},
		{"status before the annotation", corev1.Pod{ObjectMeta: annotated, Status: status}, as("2001:db8::5")},
		{"old field", corev1.Pod{Status: corev1.PodStatus{PodIP: "2001:db8::7"}}, as("2001:db8::7")},
		{"host network", corev1.Pod{Spec: corev1.PodSpec{HostNetwork: true}, Status: status}, nil},
		{"failed", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, PodIPs: status.PodIPs}}, nil},
		{"IPv4 only", corev1.Pod{Status: corev1.PodStatus{PodIPs: status.PodIPs[:1]}}, nil},
		{"terminating", corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}, Status: status}, as("2001:db8::5")},
		{"terminating, its address is gone", corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now, Annotations: map[string]string{calicoAddress: ""}}, Status: status}, nil},
		{"link-local", corev1.Pod{Status: corev1.PodStatus{PodIP: "fe80::1"}}, nil},
		{"garbage", corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{ovnNetworks: "{", calicoAddresses: "x,,/"}}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, ok := readPod(&tt.pod)
			if !slices.Equal(p.Addresses, tt.want) || ok != (len(tt.want) > 0) {
				t.Errorf("got %v, %v, want %v", p.Addresses, ok, tt.want)
			}
		})
	}
}

// TestReadNode looks at annotations in the forms that networks write.
func TestReadNode(t *testing.T) {
	t.Parallel()
	n := func(annotations map[string]string, cidrs ...string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: annotations}, Spec: corev1.NodeSpec{PodCIDRs: cidrs}}
	}
	tests := []struct {
		name string
		node *corev1.Node
		want nodeFacts
	}{
		{"podCIDRs", n(nil, "10.0.0.0/24", "2001:db8:1::/64"), nodeFacts{PodCIDRs: ps("2001:db8:1::/64")}},
		{"one subnet of OVN", n(map[string]string{ovnSubnets: `{"default":"2001:db8:2::/64"}`}), nodeFacts{OVN: ps("2001:db8:2::/64")}},
		{"two subnets of OVN", n(map[string]string{ovnSubnets: `{"default":["10.0.0.0/24","2001:db8:2::/64"],"other":"2001:db8:3::/64"}`}), nodeFacts{OVN: ps("2001:db8:2::/64")}},
		{"kube-router", n(map[string]string{kubeRouterCIDR: "2001:db8:4::/64", kubeRouterCIDRs: "2001:db8:5::/64"}), nodeFacts{KubeRouter: ps("2001:db8:4::/64")}},
		{"kube-router's list", n(map[string]string{kubeRouterCIDR: "10.0.0.0/24", kubeRouterCIDRs: "10.0.0.0/24, 2001:db8:5::/64"}), nodeFacts{KubeRouter: ps("2001:db8:5::/64")}},
		{"garbage", n(map[string]string{ovnSubnets: `{"default":5}`, kubeRouterCIDRs: ",::/0"}, "x"), nodeFacts{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, _ := readNode(tt.node)
			if !slices.Equal(got.PodCIDRs, tt.want.PodCIDRs) || !slices.Equal(got.OVN, tt.want.OVN) || !slices.Equal(got.KubeRouter, tt.want.KubeRouter) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestExcluded looks at what keeps a node from owning service addresses.
func TestExcluded(t *testing.T) {
	t.Parallel()
	tests := map[string]corev1.Node{
		"":                             {},
		"condition NetworkUnavailable": {Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue}}}},
		"taint " + outOfService:        {Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: outOfService}}}},
		"label " + corev1.LabelNodeExcludeBalancers: {ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{corev1.LabelNodeExcludeBalancers: ""}}},
	}
	for want, node := range tests {
		if got, _ := readNode(&node); got.Excluded != want {
			t.Errorf("got %q, want %q", got.Excluded, want)
		}
	}
}

// TestReadBlock looks at the states of Calico's block affinities, in both of its
// APIs.
func TestReadBlock(t *testing.T) {
	t.Parallel()
	spec := func(change map[string]any) *unstructured.Unstructured {
		s := map[string]any{"cidr": "2001:db8:1::/122", "node": "n1", "state": "confirmed", "deleted": "false", "type": "host"}
		for k, v := range change {
			s[k] = v
		}
		return &unstructured.Unstructured{Object: map[string]any{"spec": s}}
	}
	tests := []struct {
		name   string
		change map[string]any
		want   bool
	}{
		{"confirmed", nil, true},
		{"without a type", map[string]any{"type": ""}, true},
		{"deleted is a boolean", map[string]any{"deleted": false}, true},
		{"deleted", map[string]any{"deleted": "true"}, false},
		{"deleted, a boolean", map[string]any{"deleted": true}, false},
		{"pending", map[string]any{"state": "pending"}, false},
		{"pending deletion", map[string]any{"state": "pendingDeletion"}, false},
		{"of another node", map[string]any{"node": "n2"}, false},
		{"of load balancers", map[string]any{"type": "virtual"}, false},
		{"IPv4", map[string]any{"cidr": "10.0.0.0/26"}, false},
		{"garbage", map[string]any{"cidr": int64(5), "type": int64(7)}, false},
	}
	for _, tt := range tests {
		if _, ok := readBlock("n1", new(newest))(spec(tt.change)); ok != tt.want {
			t.Errorf("%s: got %v", tt.name, ok)
		}
	}
}

// TestReadCiliumNode reads both fields that Cilium writes.
func TestReadCiliumNode(t *testing.T) {
	t.Parallel()
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"ipam": map[string]any{
		"podCIDRs": []any{"10.0.0.0/24", "2001:db8:1::/64"},
		"pools": map[string]any{"allocated": []any{
			map[string]any{"pool": "default", "cidrs": []any{"2001:db8:2::/64"}}, map[string]any{"pool": "x"}, "garbage",
		}},
	}}}}
	if got, _ := readCiliumNode(new(newest))(u); !slices.Equal(got, ps("2001:db8:1::/64", "2001:db8:2::/64")) {
		t.Errorf("got %v", got)
	}
}
