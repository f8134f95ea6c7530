// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"log/slog"
	"maps"
	"slices"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apilabels "k8s.io/apimachinery/pkg/labels"
)

// leaseOf makes the lease of a node.
func leaseOf(node string) *coordinationv1.Lease {
	holder := "h"
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leasePrefix + node}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
}

// TestScopes merges the leases of two links.
func TestScopes(t *testing.T) {
	t.Parallel()
	list := func(nodes ...string) (all []any) {
		for _, n := range nodes {
			all = append(all, leaseOf(n))
		}
		return all
	}
	tests := []struct {
		name  string
		do    func(s *scopes, a, b *scope)
		known bool
		want  []string
	}{
		{"one of two lists", func(_ *scopes, a, _ *scope) { _ = a.Replace(list("n1"), "") }, false, []string{"n1"}},
		{"both lists, before the grace has ended", func(_ *scopes, a, b *scope) {
			_ = a.Replace(list("n1"), "")
			_ = b.Replace(list("n2"), "")
		}, false, []string{"n1", "n2"}},
		{"both lists", func(s *scopes, a, b *scope) {
			_ = a.Replace(list("n1"), "")
			_ = b.Replace(list("n1", "n2"), "")
			s.endGrace()
		}, true, []string{"n1", "n2"}},
		{"the grace has ended before the lists", func(s *scopes, a, b *scope) {
			s.endGrace()
			_ = a.Replace(list("n1"), "")
			_ = b.Replace(nil, "")
		}, true, []string{"n1"}},
		{"gone from one, still in the other", func(s *scopes, a, b *scope) {
			s.endGrace()
			_ = a.Replace(list("n1"), "")
			_ = b.Replace(list("n1"), "")
			_ = a.Delete(leaseOf("n1"))
		}, true, []string{"n1"}},
		{"gone from both", func(s *scopes, a, b *scope) {
			s.endGrace()
			_ = a.Replace(list("n1"), "")
			_ = b.Replace(list("n1"), "")
			_ = a.Delete(leaseOf("n1"))
			_ = b.Delete(leaseOf("n1"))
		}, true, nil},
		{"a list anew, of which the other scope knows nothing", func(s *scopes, a, b *scope) {
			s.endGrace()
			_ = a.Replace(list("n1", "n2"), "")
			_ = b.Replace(list("n3"), "")
			_ = b.Add(leaseOf("n4"))
			_ = a.Replace(list("n2"), "")
		}, true, []string{"n2", "n3", "n4"}},
		{"a link that is left", func(s *scopes, a, b *scope) {
			s.endGrace()
			_ = a.Replace(list("n1", "n2"), "")
			_ = b.Replace(list("n2"), "")
			delete(s.all, "a")
			a.end()
			_ = a.Add(leaseOf("late"))
		}, true, []string{"n2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			known := false
			leases := make(map[string]bool)
			w := New(nil, Config{Node: "n0", Log: slog.New(slog.DiscardHandler)}, Handler{
				Lease: func(l Lease, gone bool) {
					if leases[l.Node] = true; gone {
						delete(leases, l.Node)
					}
				},
				Known: func(string, bool) { known = true },
			})
			made := make(map[string]*scope)
			for _, name := range []string{"a", "b"} {
				made[name] = &scope{of: w.scopes, stop: func() {}, leases: make(map[string]*trimmed[Lease])}
				w.scopes.all[name] = made[name]
			}
			tt.do(w.scopes, made["a"], made["b"])
			got := slices.Sorted(maps.Keys(leases))
			if !slices.Equal(got, tt.want) || known != tt.known {
				t.Errorf("%v, known: %t", got, known)
			}
		})
	}
}

// TestSelectors wants the leases of two nodes to be selected by each other where they have
// a link in common, or one of them is not known, and those of older versions by all.
func TestSelectors(t *testing.T) {
	t.Parallel()
	nodes := map[string]Links{"one": {Names: []string{"a"}}, "two": {Names: []string{"a", "b"}}, "far": {Names: []string{"c"}}, "unknown": {Unknown: true}, "none": {}}
	selected := func(l Links, labels map[string]string) bool {
		return slices.ContainsFunc(l.selectors(), func(s string) bool {
			by, err := apilabels.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			return by.Matches(apilabels.Set(labels))
		})
	}
	old := map[string]string{"app.kubernetes.io/name": "ndproxyd"}
	for a, is := range nodes {
		if !selected(is, old) {
			t.Errorf("%s does not select the lease of an older version", a)
		}
		for b, other := range nodes {
			labels := maps.Clone(old)
			Links{Names: []string{"before"}}.mark(labels)
			other.mark(labels)
			want := is.Unknown || other.Unknown || slices.ContainsFunc(is.Names, func(n string) bool { return slices.Contains(other.Names, n) })
			if got := selected(is, labels); got != want {
				t.Errorf("%s selects %s: %t", a, b, got)
			}
		}
	}
}
