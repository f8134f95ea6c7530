// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"crypto/sha3"
	"encoding/base32"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
)

// hostLabel is Calico's label with a hash of the node's name, since v3.31.
const hostLabel = "projectcalico.org/hostname-hash"

const (
	// lookAgain is how often an API that is missing is looked for; a network may
	// be installed later.
	lookAgain = 5 * time.Minute
	// lookSoon is the least time between looks, one of which every change of our
	// Node causes: a network that starts changes it.
	lookSoon = 5 * time.Second
)

// calicoResources are where Calico keeps block affinities: its older objects,
// and those of clusters that store its own API's.
func calicoResources() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{
		{Group: "crd.projectcalico.org", Version: "v1", Resource: "blockaffinities"},
		{Group: "projectcalico.org", Version: "v3", Resource: "blockaffinities"},
	}
}

func ciliumResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "cilium.io", Version: "v2", Resource: "ciliumnodes"}
}

// hostHash returns the value of [hostLabel]: names may be longer than labels.
func hostHash(node string) string {
	sum := sha3.Sum256([]byte(node))
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
}

// readBlock returns a node's prefix of a block affinity that is in force.
func readBlock(node string, made *newest) func(any) (netip.Prefix, bool) {
	return func(object any) (netip.Prefix, bool) {
		u, ok := object.(*unstructured.Unstructured)
		if !ok {
			return netip.Prefix{}, false
		}
		spec, _, _ := unstructured.NestedMap(u.Object, "spec")
		deleted := fmt.Sprint(spec["deleted"]) == "true" // a word, or a boolean
		kind, _ := spec["type"].(string)
		cidr, _ := spec["cidr"].(string)
		ps := prefixes([]string{cidr})
		if spec["node"] != node || spec["state"] != "confirmed" || deleted || kind != "" && kind != "host" || len(ps) == 0 {
			return netip.Prefix{}, false
		}
		made.see(u)
		return ps[0], true
	}
}

// readCiliumNode returns the prefixes of all of Cilium's ways to allocate them.
func readCiliumNode(made *newest) func(any) ([]netip.Prefix, bool) {
	return func(object any) ([]netip.Prefix, bool) {
		u, ok := object.(*unstructured.Unstructured)
		if !ok {
			return nil, false
		}
		words, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "ipam", "podCIDRs")
		pools, _, _ := unstructured.NestedSlice(u.Object, "spec", "ipam", "pools", "allocated")
		for _, pool := range pools {
			if m, ok := pool.(map[string]any); ok {
				cidrs, _, _ := unstructured.NestedStringSlice(m, "cidrs")
				words = append(words, cidrs...)
			}
		}
		ps := prefixes(words)
		if len(ps) > 0 {
			made.see(u)
		}
		return ps, len(ps) > 0
	}
}

// blockSource is a part of the block affinities in one of Calico's APIs.
type blockSource struct {
	resource schema.GroupVersionResource
	labels   string
}

// blockSources are those of this node by Calico's label, and all that have none,
// as before v3.31.
func blockSources(node string) []blockSource {
	var all []blockSource
	for _, r := range calicoResources() {
		all = append(all, blockSource{r, hostLabel + "=" + hostHash(node)}, blockSource{r, "!" + hostLabel})
	}
	return all
}

func (b blockSource) String() string {
	if strings.HasPrefix(b.labels, "!") {
		return name(b.resource) + " without label"
	}
	return name(b.resource)
}

// followBlocks follows a part of the block affinities as soon as their API is
// there.
func (w *Watcher) followBlocks(ctx context.Context, source blockSource, blocks *kept[netip.Prefix]) {
	api := w.client.dynamic.Resource(source.resource)
	w.whileThere(ctx, blocks.health, source.resource, blocks.clear, func(ctx context.Context) {
		follow(ctx, blocks.health, api, selection{labels: source.labels}, &unstructured.Unstructured{}, blocks, false)
	})
}

// followCiliumNode follows the node's CiliumNode as soon as its API is there.
func (w *Watcher) followCiliumNode(ctx context.Context) {
	h, api := w.ciliumNode.health, w.client.dynamic.Resource(ciliumResource())
	w.whileThere(ctx, h, ciliumResource(), w.ciliumNode.clear, func(ctx context.Context) {
		follow(ctx, h, api, selection{fields: "metadata.name=" + w.config.Node}, &unstructured.Unstructured{}, w.ciliumNode, false)
	})
}

// followServiceCIDRs follows the ServiceCIDRs, an API since Kubernetes 1.33.
func (w *Watcher) followServiceCIDRs(ctx context.Context) {
	h, resource := w.cidrs.health, networkingv1.SchemeGroupVersion.WithResource("servicecidrs")
	warned := false
	missing := func() {
		if w.cidrs.clear(); !warned {
			w.config.Log.Warn("the API server has no ServiceCIDRs, as before Kubernetes 1.33: rules for services are not discovered, write them; one around the cluster IP of the service kubernetes counts as one for cluster IPs")
		}
		warned = true
	}
	w.whileThere(ctx, h, resource, missing, func(ctx context.Context) {
		follow(ctx, h, w.client.typed.serviceCIDRs(), selection{}, &networkingv1.ServiceCIDR{}, w.cidrs, false)
	})
}

// whileThere calls f while the API exists, with a context that ends when it is
// gone. An API that is missing is no fault, and has no objects.
func (w *Watcher) whileThere(ctx context.Context, h *health, resource schema.GroupVersionResource, clear func(), f func(context.Context)) {
	look := func(ctx context.Context) error {
		_, err := w.client.dynamic.Resource(resource).List(ctx, metav1.ListOptions{Limit: 1, FieldSelector: "metadata.name=" + w.config.Node})
		if apierrors.IsForbidden(err) && w.client.isAbsent(ctx, resource) {
			return apierrors.NewNotFound(resource.GroupResource(), "")
		}
		return err
	}
	for ctx.Err() == nil {
		err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case apierrors.IsNotFound(err):
			h.missing(true)
			w.mu.Lock()
			clear()
			w.prefixesChanged()
			w.mu.Unlock()
			w.pause(ctx)
			continue
		case err != nil:
			if h.result(err, false); apierrors.IsForbidden(err) {
				h.waitPermission(ctx)
				continue
			}
			select {
			case <-ctx.Done():
			case <-time.After(wait.Jitter(lookSoon, 1)):
			}
			continue
		}
		h.missing(false)
		h.result(nil, false)
		there, gone := context.WithCancelCause(ctx)
		go wait.UntilWithContext(there, func(ctx context.Context) {
			if apierrors.IsNotFound(look(ctx)) {
				gone(errors.New("the API is gone"))
			}
		}, lookAgain)
		f(there)
		gone(nil)
	}
}

// pause waits until it is time to look for an API again.
func (w *Watcher) pause(ctx context.Context) { w.pauseAtMost(ctx, lookAgain) }

// pauseAtMost waits for a while, or until a little after our Node has changed.
func (w *Watcher) pauseAtMost(ctx context.Context, most time.Duration) {
	soon := time.After(lookSoon)
	late := time.NewTimer(wait.Jitter(most, 0.2))
	defer late.Stop()
	select {
	case <-ctx.Done():
		return
	case <-late.C:
		return
	case <-w.nodeChange():
	}
	select {
	case <-ctx.Done():
	case <-soon:
	}
}
