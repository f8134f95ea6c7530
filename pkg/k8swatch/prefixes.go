// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reconsider is how often the sources of this node's prefixes are compared with the
// kernel's routes while several of them name different ones.
const reconsider = 5 * time.Second

// Those of [PrefixSources] that need more than their place.
const (
	keyCalico   = "calico"
	keyCilium   = "cilium"
	keyPodCIDRs = "pod-cidrs"
)

// PrefixSources returns the names by which a configuration pins the source of this
// node's prefixes, in the order in which the sources are asked.
func PrefixSources() []string {
	return []string{keyCalico, keyCilium, "ovn-kubernetes", "kube-router", keyPodCIDRs}
}

// newest is when the newest of some objects was made, in seconds since 1970, 0 while
// none was seen. It is not in the snapshot.
type newest struct{ at atomic.Int64 }

// see takes in an object.
func (n *newest) see(o metav1.Object) {
	made := o.GetCreationTimestamp().Unix()
	for {
		at := n.at.Load()
		if made <= at || n.at.CompareAndSwap(at, made) {
			return
		}
	}
}

// prefixSource is one source of this node's prefixes.
type prefixSource struct {
	key, name string // for a configuration, and for people
	prefixes  []netip.Prefix
	newest    int64 // when the newest object was made, 0 where nobody says
	// known is true when the source was heard, and denied when the account may not
	// read it although the server has it.
	known, denied bool
}

// prefixesChanged hands over the prefixes of this node by the source that is in force.
func (w *Watcher) prefixesChanged() {
	if !w.config.Needs.Prefixes {
		return
	}
	w.dirty = true
	sources := w.prefixSources()
	s, ok := choose(sources, w.config.PrefixSource, w.calicoAllocates(), w.config.Routed)
	if ok && s.key == keyPodCIDRs && w.config.PrefixSource == "" && !w.anyBlock.known() {
		return // they may be what Calico does not use
	}
	switch {
	case !ok:
	case s.denied && len(s.prefixes) == 0 && w.prefixes: // what is known stays
	default:
		w.prefixes = true
		w.handler.Prefixes(s.name, s.prefixes)
	}
	w.reconsiderLater(sources)
}

// prefixSources returns the sources as they are now, in order.
func (w *Watcher) prefixSources() []prefixSource {
	var calico prefixSource
	calico.known = true
	for _, k := range w.blocks {
		for _, p := range k.objects {
			calico.prefixes = append(calico.prefixes, p)
		}
		calico.known = calico.known && k.health.known()
		calico.denied = calico.denied || isDenied(k.health)
	}
	slices.SortFunc(calico.prefixes, netip.Prefix.Compare)
	calico.prefixes = slices.Compact(calico.prefixes)
	cilium, node := w.ciliumNode.objects[w.config.Node], w.node.objects[w.config.Node]
	here, denied := w.node.health.known(), isDenied(w.node.health)
	keys := PrefixSources()
	return []prefixSource{
		{keys[0], FromCalico, calico.prefixes, w.newestBlock.at.Load(), calico.known, calico.denied},
		{keys[1], FromCilium, cilium, w.newestCilium.at.Load(), w.ciliumNode.health.known(), isDenied(w.ciliumNode.health)},
		{keys[2], FromOVNKubernetes, node.OVN, 0, here, denied},
		{keys[3], FromKubeRouter, node.KubeRouter, 0, here, denied},
		{keys[4], FromPodCIDRs, node.PodCIDRs, 0, here, denied},
	}
}

// calicoAllocates reports whether Calico has blocks, be they of other nodes only.
func (w *Watcher) calicoAllocates() bool { return len(w.anyBlock.objects) > 0 }

// isDenied reports whether the account lacks the permission for a source, which it does
// not after a single 403. A source that the server does not have is missing instead.
func isDenied(h *health) bool {
	s := h.get()
	return s.NoPermission && !s.Missing
}

// choose returns the source that is in force on this node, and false while that is not
// known. A configuration may pin it. Else it is the first one of which the kernel has
// routes, because objects outlive the plugin that made them, and without routes the
// first one that has prefixes. Of Calico and Cilium it is the one with the newest object.
//
// Without routes all sources have to be known, as else a moment's answers would be
// another node's. One that may not be read may have something, so nothing after it is
// taken. Nor is Node.spec.podCIDRs where Calico has blocks of any node, which calico
// tells: it then is what the controller manager gave away beside Calico, and likely
// another node's block.
func choose(sources []prefixSource, pinned string, calico bool, routed func(netip.Prefix) bool) (first prefixSource, ok bool) {
	if pinned != "" {
		i := slices.IndexFunc(sources, func(s prefixSource) bool { return s.key == pinned })
		return sources[i], sources[i].known || len(sources[i].prefixes) > 0
	}
	for _, s := range sources {
		if routed != nil && slices.ContainsFunc(s.prefixes, routed) && s.goesBefore(first) {
			first = s
		}
	}
	if len(first.prefixes) > 0 {
		return first, true
	}
	for _, s := range sources {
		switch {
		case s.key == keyPodCIDRs && calico:
		case len(s.prefixes) == 0 && !s.known:
			return prefixSource{}, false
		case len(s.prefixes) == 0 && s.denied && len(first.prefixes) == 0:
			return s, true
		case len(s.prefixes) == 0 && s.denied:
			return first, true
		case s.goesBefore(first):
			first = s
		}
	}
	if len(first.prefixes) == 0 && calico {
		first = sources[0]
	}
	return first, true
}

// goesBefore reports whether a source is taken rather than one that is asked before it,
// which is zero for none.
func (s prefixSource) goesBefore(first prefixSource) bool {
	return len(s.prefixes) > 0 && (len(first.prefixes) == 0 || first.newest > 0 && s.newest > first.newest)
}

// reconsiderLater has the sources compared with the kernel's routes again soon while
// they disagree: a plugin that has just begun has no routes yet.
func (w *Watcher) reconsiderLater(sources []prefixSource) {
	if w.reconsidering || w.config.Routed == nil || w.config.PrefixSource != "" || w.ctx == nil || w.ctx.Err() != nil {
		return
	}
	var named []prefixSource
	for _, s := range sources {
		if len(s.prefixes) > 0 {
			named = append(named, s)
		}
	}
	differ := slices.ContainsFunc(named, func(s prefixSource) bool { return !slices.Equal(s.prefixes, named[0].prefixes) })
	barred := len(named) > 0 && w.calicoAllocates() && named[0].key != keyCalico
	if !differ && !barred {
		return
	}
	w.reconsidering = true
	time.AfterFunc(reconsider, w.apart(func() {
		w.reconsidering = false
		w.prefixesChanged()
	}))
}
