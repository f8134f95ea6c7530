// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// reviewingServer answers what an account may do.
type reviewingServer struct {
	*fakeServer
	refused []string // verbs and resources
	fields  []string // that were asked for
}

// RoundTrip implements [http.RoundTripper].
func (s *reviewingServer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost {
		return s.fakeServer.RoundTrip(r)
	}
	var review struct {
		Spec struct {
			ResourceAttributes struct {
				Verb, Resource, Namespace string
				FieldSelector             struct {
					Requirements []struct {
						Key    string
						Values []string
					}
				}
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		return nil, err
	}
	asked := review.Spec.ResourceAttributes
	for _, f := range asked.FieldSelector.Requirements {
		s.fields = append(s.fields, f.Key+"="+f.Values[0])
	}
	may := !slices.Contains(s.refused, asked.Verb+" "+asked.Resource) && (asked.Resource != "leases" || asked.Namespace == "ndproxyd")
	return answer(r, http.StatusCreated, map[string]any{
		"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "status": map[string]any{"allowed": may},
	}), nil
}

// TestPreview asks for a cluster before a watcher runs.
func TestPreview(t *testing.T) {
	t.Parallel()
	all, _ := everything()
	tests := []struct {
		name    string
		node    string
		needs   Needs
		pinned  string // the source of prefixes
		refused []string
		lacking []string // APIs
		absent  bool
		want    []string
	}{
		{name: "all is well", node: "n1", needs: all},
		{name: "nothing is needed", node: "n1", refused: []string{"list nodes"}},
		{name: "no such Node", node: "n1.example.org", needs: all, absent: true},
		{name: "pods may not be read", node: "n1", needs: Needs{Pods: true}, refused: []string{"list pods", "watch pods", "list services"}, want: []string{
			`cannot list resource "pods" in API group ""`, `cannot watch resource "pods" in API group ""`,
		}},
		{name: "leases may not be written", node: "n1", needs: all, refused: []string{"create leases"}, want: []string{
			`cannot create resource "leases" in API group "coordination.k8s.io" in the namespace "ndproxyd"`,
		}},
		{name: "a network plugin's objects", node: "n1", needs: Needs{Prefixes: true}, refused: []string{"list ciliumnodes"}, want: []string{
			`cannot list resource "ciliumnodes" in API group "cilium.io"`,
		}},
		{name: "objects of the network plugin that is pinned", node: "n1", needs: Needs{Prefixes: true}, pinned: "cilium", refused: []string{"list ciliumnodes", "list blockaffinities"}, want: []string{
			`cannot list resource "ciliumnodes" in API group "cilium.io"`,
		}},
		{name: "blocks of Calico, which is pinned", node: "n1", needs: Needs{Prefixes: true}, pinned: "calico", refused: []string{"watch blockaffinities", "list ciliumnodes"}, want: []string{
			`cannot watch resource "blockaffinities" in API group "crd.projectcalico.org"`, `cannot watch resource "blockaffinities" in API group "projectcalico.org"`,
		}},
		{name: "objects of network plugins that do not count", node: "n1", needs: Needs{Prefixes: true}, pinned: "pod-cidrs", refused: []string{"list ciliumnodes", "list blockaffinities"}},
		{name: "no such network plugin", node: "n1", needs: Needs{Prefixes: true}, refused: []string{"list ciliumnodes"}, lacking: []string{"ciliumnodes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, fake := everything()
			for _, r := range tt.lacking {
				delete(fake.objects, r)
			}
			if tt.absent { // the fake does not select by name
				fake.objects["nodes"] = []any{}
			}
			server := &reviewingServer{fakeServer: fake, refused: tt.refused}
			asJSON, hc := &rest.Config{Host: "https://api.example", QPS: -1}, &http.Client{Transport: server}
			free, err := dynamic.NewForConfigAndClient(asJSON, hc)
			must(t, err)
			typed, err := newTyped(asJSON, hc)
			must(t, err)
			got, err := (&Client{typed: typed, dynamic: free}).Preview(t.Context(), Config{Node: tt.node, Namespace: "ndproxyd", Needs: tt.needs, PrefixSource: tt.pinned})
			must(t, err)
			var refused []string
			for _, r := range got.Refused {
				refused = append(refused, r.String())
			}
			if !slices.Equal(refused, tt.want) || got.Absent != tt.absent {
				t.Errorf("got %+v", got)
			}
			if tt.needs.Pods && !slices.Contains(server.fields, "spec.nodeName="+tt.node) {
				t.Errorf("asked for the fields %q", server.fields)
			}
		})
	}
}
