// SPDX-License-Identifier: Apache-2.0

package inspect_test

import (
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/inspect"
)

// TestClusterResponders has other programs answer for addresses of rules.
func TestClusterResponders(t *testing.T) {
	t.Parallel()
	calico := inspect.ClusterResponder{Name: "Calico", Object: "localSubnetL2Reachability: PodsAndLoadBalancers of the FelixConfiguration", Pods: true, Services: true}
	metallb := inspect.ClusterResponder{Name: "MetalLB", Object: "L2Advertisement lan", Services: true}
	tests := []struct {
		name  string
		one   inspect.ClusterResponder
		needs discover.Needs
		want  inspect.Severity // "" for no finding
		says  string
	}{
		{"Calico and services", calico, discover.Needs{Services: true, Pods: true}, inspect.Warning, "answers for service addresses"},
		{"Calico and pods", calico, discover.Needs{Prefixes: true}, inspect.Info, "answers for pods"},
		{"MetalLB and services", metallb, discover.Needs{Services: true}, inspect.Info, "MetalLB announces service addresses on the link (L2Advertisement lan)"},
		{"MetalLB and pods", metallb, discover.Needs{Pods: true}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found := inspect.ClusterResponders([]inspect.ClusterResponder{tt.one}, tt.needs)
			if tt.want == "" && found == nil {
				return
			}
			if len(found) != 1 || found[0].Severity != tt.want || found[0].Reason != "another_responder" || !strings.Contains(found[0].Problem, tt.says) || found[0].Effect == "" || found[0].Remedy == "" {
				t.Errorf("got %+v", found)
			}
		})
	}
}
