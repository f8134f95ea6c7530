// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// standInPage is how many Nodes are read at once. Where nodes share a link, one of the
// first is a stand-in, and the rest is not read.
const standInPage = 100

// StandIn reports whether another node can answer for services in this one's place: its
// Node says that it is fit, and it has an address that near reports to be on a link of
// this node. It fails with the error of the API server.
func (w *Watcher) StandIn(ctx context.Context, near func(netip.Addr) bool) (bool, error) {
	o := metav1.ListOptions{LabelSelector: "!" + corev1.LabelNodeExcludeBalancers, Limit: standInPage}
	for {
		page, cancel := context.WithTimeout(ctx, callTimeout)
		list, err := w.client.typed.nodes().List(page, o)
		cancel()
		if err != nil {
			return false, fmt.Errorf("list nodes: %w", err)
		}
		for i := range list.Items {
			if n := &list.Items[i]; n.Name != w.config.Node && excluded(n) == "" && hasAddress(n, near) {
				return true, nil
			}
		}
		if o.Continue = list.Continue; o.Continue == "" {
			return false, nil
		}
	}
}

// hasAddress reports whether one of a Node's addresses is one that is wanted.
func hasAddress(n *corev1.Node, wanted func(netip.Addr) bool) bool {
	for _, a := range n.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && wanted(ip) {
			return true
		}
	}
	return false
}
