// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// previewer asks a cluster before a watcher runs.
type previewer interface {
	Preview(ctx context.Context, c k8swatch.Config) (k8swatch.Preview, error)
}

// Preview returns what a daemon with the configuration would find in the cluster, as far
// as findings are drawn from it: whether the Node is there, and what the account may not
// do. It writes nothing. The error is one of the way to the API server.
func Preview(ctx context.Context, cfg *config.Config, client previewer) (*status.Cluster, error) {
	k := cfg.Kubernetes
	p, err := client.Preview(ctx, k8swatch.Config{
		Node: k.Node, Namespace: k.Namespace, Needs: k8swatch.Needs(discover.NeedsOf(cfg)), PrefixSource: k.PrefixSource,
	})
	if err != nil {
		return nil, err
	}
	out := &status.Cluster{Node: k.Node, NodeAbsent: p.Absent, NodesAlike: p.Alike}
	for _, r := range p.Refused {
		out.Sources = append(out.Sources, status.Source{Source: r.Source, NoPermission: true, Fault: r.String()})
	}
	return out, nil
}
