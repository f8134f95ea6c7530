// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"net/http"
	"slices"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// TestResponders looks for other programs that answer for addresses of the cluster.
func TestResponders(t *testing.T) {
	t.Parallel()
	felix := func(name, value string) any {
		return object("crd.projectcalico.org/v1", "FelixConfiguration", name, map[string]any{"spec": map[string]any{"localSubnetL2Reachability": value}})
	}
	const all = "localSubnetL2Reachability: PodsAndLoadBalancers of the FelixConfiguration"
	tests := []struct {
		name      string
		objects   map[string][]any
		forbidden string
		want      []Responder
	}{
		{name: "none of these programs"},
		{name: "none is told to", objects: map[string][]any{"felixconfigurations": {felix("default", "Disabled")}, "l2advertisements": {}, "ciliuml2announcementpolicies": {}}},
		{
			name:    "Calico",
			objects: map[string][]any{"felixconfigurations": {felix("default", "PodsAndLoadBalancers"), felix("node.n2", "Disabled")}},
			want:    []Responder{{"Calico", all, true, true}},
		},
		{name: "Calico, and not on this node", objects: map[string][]any{"felixconfigurations": {felix("default", "PodsAndLoadBalancers"), felix("node.n1", "Disabled")}}},
		{
			name: "MetalLB and Cilium", objects: map[string][]any{
				"l2advertisements":             {object("metallb.io/v1beta1", "L2Advertisement", "lan", nil)},
				"ciliuml2announcementpolicies": {object("cilium.io/v2alpha1", "CiliumL2AnnouncementPolicy", "p1", nil)},
			}, want: []Responder{{"Cilium", "CiliumL2AnnouncementPolicy p1", false, true}, {"MetalLB", "L2Advertisement lan", false, true}},
		},
		{
			name: "one may not be read", forbidden: "l2advertisements", objects: map[string][]any{
				"l2advertisements":    {object("metallb.io/v1beta1", "L2Advertisement", "lan", nil)},
				"felixconfigurations": {felix("default", "PodsAndLoadBalancers")},
			}, want: []Responder{{"Calico", all, true, true}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newFakeServer()
			for resource, objects := range tt.objects {
				server.objects[resource] = objects
			}
			if tt.forbidden != "" {
				server.failing[tt.forbidden] = http.StatusForbidden
			}
			free, err := dynamic.NewForConfigAndClient(&rest.Config{Host: "https://api.example", QPS: -1}, &http.Client{Transport: server})
			must(t, err)
			if got := (&Client{dynamic: free}).Responders(t.Context(), "n1"); !slices.Equal(got, tt.want) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
