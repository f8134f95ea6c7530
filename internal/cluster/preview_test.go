// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// foreseen is what a previewer says.
type foreseen struct {
	seen  k8swatch.Preview
	err   error
	asked k8swatch.Config
}

func (f *foreseen) Preview(_ context.Context, c k8swatch.Config) (k8swatch.Preview, error) {
	f.asked = c
	return f.seen, f.err
}

// TestPreview has what findings are drawn from before a daemon runs.
func TestPreview(t *testing.T) {
	t.Parallel()
	cfg := &config.Config{
		Rules:      []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Method: rules.Pods}},
		Kubernetes: &config.Kubernetes{Node: "n1", Namespace: "agents"},
	}
	f := &foreseen{seen: k8swatch.Preview{Absent: true, Alike: []string{"n2"}, Refused: []k8swatch.Refusal{{Source: "pods", Verb: "watch", Resource: "pods"}}}}
	got, err := Preview(t.Context(), cfg, f)
	if err != nil || got.Node != "n1" || !got.NodeAbsent || len(got.NodesAlike) != 1 || len(got.Sources) != 1 || !got.Sources[0].NoPermission || got.Sources[0].Source != "pods" {
		t.Errorf("got %+v, %v", got, err)
	}
	if f.asked.Node != "n1" || f.asked.Namespace != "agents" || f.asked.Needs != (k8swatch.Needs{Pods: true}) {
		t.Errorf("asked for %+v", f.asked)
	}
	f.err = errors.New("no route to host")
	if got, err := Preview(t.Context(), cfg, f); got != nil || !errors.Is(err, f.err) {
		t.Errorf("got %+v, %v", got, err)
	}
}
