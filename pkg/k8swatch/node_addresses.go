// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodePage is how many Nodes are read at a time. A Node has some 10 KiB, of which a
// name and a few addresses are kept.
const nodePage = 500

// readNodeAddresses reads the IPv6 addresses of a Node.
func readNodeAddresses(object any) ([]netip.Addr, bool) {
	n, ok := object.(*corev1.Node)
	if !ok {
		return nil, false
	}
	var all []netip.Addr
	for _, a := range n.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && usable(ip) { // others are names
			all = append(all, ip)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all), len(all) > 0
}

// pagedNodes reads Nodes in pages, and keeps of each what [readNodeAddresses] reads: a
// server that does not stream lists would have thousands of whole Nodes in memory.
type pagedNodes struct {
	resource[*corev1.Node, *corev1.NodeList]
}

// List returns all Nodes, trimmed.
func (p pagedNodes) List(ctx context.Context, o metav1.ListOptions) (*corev1.NodeList, error) {
	all := new(corev1.NodeList)
	// Only a list without a version is served in pages.
	o.Limit, o.ResourceVersion, o.ResourceVersionMatch = nodePage, "", ""
	for {
		page, err := p.resource.List(ctx, o)
		if err != nil {
			return nil, err
		}
		for _, n := range page.Items {
			all.Items = append(all.Items, corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: n.Name, ResourceVersion: n.ResourceVersion},
				Status:     corev1.NodeStatus{Addresses: n.Status.Addresses},
			})
		}
		all.ResourceVersion = page.ResourceVersion
		if page.Continue == "" {
			return all, nil
		}
		o.Continue = page.Continue
	}
}

// followNodeAddresses follows the addresses of all Nodes.
func (w *Watcher) followNodeAddresses(ctx context.Context) {
	w.begin(w.addresses.health, func() {
		follow(ctx, w.addresses.health, pagedNodes{w.client.typed.nodes()}, selection{}, &corev1.Node{}, w.addresses, false)
	})
}

// addressesChanged hands the addresses of all Nodes over when one of them differs: a
// Node changes every few minutes, its addresses hardly ever.
func (w *Watcher) addressesChanged(keys []string) {
	changed := false
	for _, key := range keys {
		now := w.addresses.objects[key]
		if slices.Equal(w.seenAddresses[key], now) {
			continue
		}
		changed = true
		if w.seenAddresses[key] = now; len(now) == 0 {
			delete(w.seenAddresses, key)
		}
	}
	if changed {
		w.dirty = true
		all := make(map[netip.Addr]string)
		for _, node := range slices.Sorted(maps.Keys(w.seenAddresses)) {
			for _, a := range w.seenAddresses[node] {
				if _, taken := all[a]; !taken {
					all[a] = node
				}
			}
		}
		w.handler.NodeAddresses(all)
	}
	w.known(w.addresses.health)
	w.servicesKnown()
}
