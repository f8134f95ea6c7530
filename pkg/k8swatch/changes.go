// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"net/netip"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
)

func (w *Watcher) podsChanged() {
	w.dirty = true
	all := make(map[netip.Addr]Pod)
	ran := make(map[string]bool)
	awaited := false
	for _, p := range w.pods.objects {
		ran[p.UID] = w.ran[p.UID] || p.Machine.Node == w.config.Node
		p.Absent = p.Machine.absent(w.config.Node, ran[p.UID])
		awaited = awaited || p.Absent != "" && len(p.Addresses) == 0
		take := func(as []netip.Addr) {
			for _, a := range as {
				if has, ok := all[a]; !ok || p.goesBefore(has) {
					all[a] = p
				}
			}
		}
		take(p.Addresses)
		p.Additional = true
		take(p.More)
	}
	w.known(w.pods.health)
	w.ran = ran
	if f := w.handler.Awaited; f != nil && (!w.awaitedKnown || awaited != w.awaited) {
		w.awaited, w.awaitedKnown = awaited, true
		f(awaited)
	}
	w.handler.Pods(all)
}

// goesBefore reports whether an address of both pods belongs to p: the one whose machine
// runs here, the one that has it by its default network, or else the first one by name.
func (p Pod) goesBefore(o Pod) bool {
	if here := p.Absent == ""; here != (o.Absent == "") {
		return here
	}
	if p.Additional != o.Additional {
		return !p.Additional
	}
	return p.Namespace+"/"+p.Name < o.Namespace+"/"+o.Name
}

func (w *Watcher) nodeChanged() {
	w.dirty = true
	close(w.nodeEvents)
	w.nodeEvents = make(chan struct{})
	w.lookAtName()
	w.known(w.node.health)
	if n, ok := w.node.objects[w.config.Node]; ok {
		w.handler.Node(n.NodeState)
	}
	w.prefixesChanged()
}

// nodeUID returns that of our Node, "" while it is not known.
func (w *Watcher) nodeUID() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.node.objects[w.config.Node].UID
}

// nodeChange returns a channel that closes when our Node changes.
func (w *Watcher) nodeChange() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodeEvents
}

func (w *Watcher) servicesChanged(keys []string) {
	w.dirty = true
	w.handler.Services(w.allocated.servicesChanged(keys))
	needed := w.allocated.needsEndpoints()
	switch {
	case needed && w.stopSlices == nil && w.ctx != nil:
		ctx, cancel := context.WithCancel(w.ctx)
		w.stopSlices = cancel
		w.sources = append(w.sources, w.slices.health)
		go func() {
			follow(ctx, w.slices.health, w.client.typed.endpointSlices(), selection{}, &discoveryv1.EndpointSlice{}, w.slices, false)
		}()
	case !needed && w.stopSlices != nil:
		w.stopSlices()
		w.stopSlices = nil
		w.sources = slices.DeleteFunc(w.sources, func(h *health) bool { return h == w.slices.health })
		w.slices.clear() // they would be old when they are needed again
	}
	w.servicesKnown()
}

// servicesKnown tells that services are known, unless their endpoints are needed and
// about to be: others would leave addresses to us of which we do not know yet whether
// we take them. The addresses of Nodes come before, which nobody else may announce. A
// server that only forbids endpoints for now is waited for.
func (w *Watcher) servicesKnown() {
	if s := w.addresses.health.get(); !w.addresses.known() && (s.Fault == "" || s.Forbidden) && !w.services.status().Restored {
		return
	}
	if s := w.slices.health.get(); w.stopSlices == nil || w.slices.known() || s.Fault != "" && !s.Forbidden || w.services.status().Restored {
		w.known(w.services.health)
	}
}

// apart returns f for who does not hold the lock.
func (w *Watcher) apart(f func()) func() {
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		f()
	}
}

func (w *Watcher) slicesChanged(keys []string) {
	w.dirty = true
	if changes := w.allocated.slicesChanged(keys, w.sliceOf); len(changes) > 0 {
		w.handler.Services(changes)
	}
	w.known(w.slices.health)
	w.servicesKnown()
}

func (w *Watcher) cidrsChanged() {
	w.dirty = true
	var all []netip.Prefix
	for _, ps := range w.cidrs.objects {
		all = append(all, ps...)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	w.handler.ServiceCIDRs(slices.Compact(all))
}

// leasesChanged tells of renewals, and not of leases that a list has once more.
func (w *Watcher) leasesChanged(keys []string) {
	for _, key := range keys {
		l, ok := w.leases.objects[key]
		seen := w.seenLeases[key]
		switch {
		case ok && l == seen, !ok && seen.Node == "":
			continue
		case ok:
			w.seenLeases[key] = l
		default:
			l = seen
			delete(w.seenLeases, key)
		}
		w.dirty = w.dirty || !ok || l.Holder != seen.Holder || l.Record != seen.Record
		w.handler.Lease(l, !ok)
	}
	w.known(w.leases.health)
}

// known tells that a source is known as a whole, if it is.
func (w *Watcher) known(h *health) {
	if s := h.get(); s.Synced || s.Restored {
		w.handler.Known(s.Source, s.Synced)
	}
}
