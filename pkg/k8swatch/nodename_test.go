// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestAlike looks for names that may be meant.
func TestAlike(t *testing.T) {
	t.Parallel()
	nodes := func(names ...string) (all []nodeNames) {
		for _, n := range names {
			name, host, _ := strings.Cut(n, "=")
			all = append(all, nodeNames{name, host})
		}
		return all
	}
	tests := []struct {
		name, node string
		nodes      []nodeNames
		want       string
	}{
		{"a long name for a short one", "n1.example.org", nodes("n1", "n2", "gateway"), "[n1]"},
		{"a short name for a long one", "n1", nodes("n1.example.org", "n2.example.org"), "[n1.example.org]"},
		{"another domain", "worker.example.com", nodes("worker.example.org", "other.example.com"), "[worker.example.org]"},
		{"upper case", "Worker", nodes("worker", "walker"), "[worker walker]"},
		{"the host name", "ip6-7", nodes("i-0abc=ip6-7", "i-0abd=ip6-8", "i-9=other"), "[i-0abc]"},
		{"a slip", "worker-a", nodes("wroker-a", "worker-b", "control"), "[worker-b wroker-a]"},
		{"nothing like it", "alpha", nodes("beta", "gamma"), "[]"},
		{"no more than a few", "worker-0", nodes("worker-1", "worker-2", "worker-3", "worker-4", "worker-5", "worker-6"), "[worker-1 worker-2 worker-3 worker-4 worker-5]"},
		{"none to be had", "n1", nil, "[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := fmt.Sprint(alike(tt.node, tt.nodes)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestDistance counts the letters that differ.
func TestDistance(t *testing.T) {
	t.Parallel()
	for pair, want := range map[string]int{"/": 0, "a/": 1, "/ab": 2, "node/node": 0, "node/nod": 1, "node/mode": 1, "kitten/sitting": 3} {
		a, b, _ := strings.Cut(pair, "/")
		if got := distance(a, b); got != want {
			t.Errorf("%s: %d, want %d", pair, got, want)
		}
	}
}

// TestNodeAbsent starts with a name that the cluster does not have, and goes on when the
// Node is there.
func TestNodeAbsent(t *testing.T) {
	t.Parallel()
	for _, needs := range []Needs{{Pods: true}, {Prefixes: true}, {Services: true}} {
		t.Run(fmt.Sprint(needs), func(t *testing.T) {
			t.Parallel()
			_, server := everything()
			watching(t, server, Config{Needs: needs, Node: "n1.example.org"}, func(w *watched) {
				w.after(time.Second)
				want := "node n1.example.org, which the cluster does not have (it has n1)"
				if got := w.Waits(); len(got) == 0 || got[0] != want {
					t.Errorf("waits for %v", got)
				}
				if log := w.log.String(); strings.Count(log, "the cluster has no Node") != 1 {
					t.Errorf("the log is\n%s", log)
				}
				w.after(time.Hour)
				must(t, w.node.Add(nodeObject("n1.example.org")))
				w.after(time.Second)
				for _, got := range w.Waits() {
					if strings.Contains(got, "node") {
						t.Errorf("waits for %s when the Node is there", got)
					}
				}
			})
		})
	}
}

// nodeObject returns a Node as a client has it.
func nodeObject(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDRs: []string{"2001:db8:c::/64"}}}
}
