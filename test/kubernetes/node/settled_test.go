// SPDX-License-Identifier: Apache-2.0

//go:build full

package node

import (
	"context"
	"net"
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// client asks the daemon of a node.
func client(n *cluster.Node) *control.Client {
	return control.NewClientFunc(control.DefaultAddress, func(ctx context.Context) (net.Conn, error) {
		return n.Dial(ctx, "unix", control.DefaultAddress)
	})
}

// settled waits until the daemons of all nodes have settled and know that of each other.
func (s *site) settled() {
	s.t.Helper()
	for _, n := range s.n.Nodes {
		harness.Eventually(s.t, "settled daemon on "+n.Name, func() bool {
			now, err := client(n).Status(context.Background())
			return err == nil && now.Cluster != nil && now.Cluster.Settled && !now.Cluster.Frozen && now.Cluster.Announcers == len(s.n.Nodes) &&
				!slices.ContainsFunc(now.Cluster.Peers, func(p status.Peer) bool { return !p.Settled })
		})
	}
}
