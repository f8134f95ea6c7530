// SPDX-License-Identifier: Apache-2.0

package inspect_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/status"
)

// TestPermissions names what an account may not do.
func TestPermissions(t *testing.T) {
	t.Parallel()
	const refused = `services is forbidden: User "system:serviceaccount:a:b" cannot list resource "services" in API group "" at the cluster scope`
	tests := []struct {
		name     string
		sources  []status.Source
		taken    string           // the source of the node's prefixes
		severity inspect.Severity // "" for no finding
		want     string
	}{
		{"nothing", []status.Source{{Source: "pods", Synced: true}}, "", "", ""},
		{"another fault", []status.Source{{Source: "pods", Fault: "connection refused"}}, "", "", ""},
		{"one verb", []status.Source{{Source: "services", Forbidden: true, NoPermission: true, Fault: refused}}, "", inspect.Warning, "may not list services"},
		{
			"several", []status.Source{
				{Source: "leases", NoPermission: true, Fault: `cannot list resource "leases" in API group "coordination.k8s.io" in the namespace "a"`},
				{Source: "own lease", NoPermission: true, Fault: `cannot create resource "leases" in API group "coordination.k8s.io" in the namespace "a"`},
				{Source: "pods", NoPermission: true, Fault: `cannot watch resource "pods" in API group ""`},
			}, "", inspect.Warning, "may not list and create leases.coordination.k8s.io, and not watch pods",
		},
		{"in other words", []status.Source{{Source: "pods", NoPermission: true, Fault: "denied by a webhook"}}, "", inspect.Warning, "may not read pods"},
		{"a network plugin's objects", []status.Source{{Source: "ciliumnodes.cilium.io", NoPermission: true}}, "", inspect.Warning, "may not read ciliumnodes.cilium.io"},
		{"the same, and the prefixes are known", []status.Source{{Source: "ciliumnodes.cilium.io", NoPermission: true}}, "Node.spec.podCIDRs", "", ""},
		{"refused once", []status.Source{{Source: "services", Forbidden: true, Fault: refused}}, "", inspect.Info, "the last time to list services"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found := inspect.Permissions(&status.Cluster{Node: "n1", PrefixSource: tt.taken, Sources: tt.sources}, []string{"eth0"})
			if tt.severity == "" && found == nil {
				return
			}
			if len(found) != 1 || found[0].Severity != tt.severity || !strings.HasSuffix(found[0].Problem, tt.want) || !slices.Contains(inspect.Reasons(), found[0].Reason) {
				t.Errorf("got %+v", found)
			}
		})
	}
	if found := inspect.Permissions(nil, []string{"eth0"}); found != nil {
		t.Errorf("without a cluster: %+v", found)
	}
}
