// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// watcher follows an API server: a [k8swatch.Watcher], or a fake of the tests.
type watcher interface {
	// Run calls the handler until ctx ends. It keeps this node's lease for the
	// next watcher if the cause is [k8swatch.ErrReplaced].
	Run(ctx context.Context)
	// Announce, Withdraw, Renew, LinksChanged, Call, Follows and Emit do not block, and
	// take no lock that the handler is called with.
	Announce()
	Withdraw()
	Renew()
	LinksChanged()
	Follows() bool
	Call(node string, needed bool)
	Emit(k8swatch.Event)
	// ProxySeen, Status and Waits wait for the handler to return: they must not be called
	// with the Manager's lock held.
	ProxySeen(url string)
	Status() []k8swatch.SourceStatus
	Waits() []string
	Server() string
	// StandIn waits for the server.
	StandIn(ctx context.Context, near func(netip.Addr) bool) (bool, error)
	Uses(*k8swatch.Client) bool
}

// watch makes the watcher that the daemon runs.
func watch(client *k8swatch.Client, config k8swatch.Config, handler k8swatch.Handler) watcher {
	return k8swatch.New(client, config, handler)
}
