// SPDX-License-Identifier: Apache-2.0

package inspect_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/status"
)

// TestNodeName looks at what is wrong with the name of a node.
func TestNodeName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		cluster *status.Cluster
		want    string // in the only finding, "" for none
	}{
		{"no cluster", nil, ""},
		{"nothing", &status.Cluster{Node: "n1"}, ""},
		{"no such Node", &status.Cluster{Node: "n1.example.org", NodeAbsent: true, NodesAlike: []string{"n1"}}, "no Node n1.example.org; it has n1"},
		{"two daemons", &status.Cluster{Node: "n1", Namesake: "another daemon"}, "another daemon has the node name n1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found := inspect.NodeName(tt.cluster, []string{"eth0"})
			if tt.want == "" && found == nil {
				return
			}
			if len(found) != 1 || tt.want == "" || !strings.Contains(found[0].Problem, tt.want) || !slices.Contains(inspect.Reasons(), found[0].Reason) {
				t.Errorf("got %+v", found)
			}
		})
	}
}
