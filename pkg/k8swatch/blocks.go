// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
)

// lookForFirst is how often a node that has no block of Calico's looks whether any node
// has one. It reads one object, as it must not watch those of all nodes.
const lookForFirst = time.Minute

// lookForBlocks keeps known whether one of Calico's APIs has blocks, of whichever node.
func (w *Watcher) lookForBlocks(ctx context.Context, resource schema.GroupVersionResource) {
	for ctx.Err() == nil {
		list, err := w.client.dynamic.Resource(resource).List(ctx, metav1.ListOptions{Limit: 1})
		absent := apierrors.IsNotFound(err) || apierrors.IsForbidden(err) && w.client.isAbsent(ctx, resource)
		switch {
		case ctx.Err() != nil:
			return
		case absent:
			w.setAnyBlock(resource, false)
		case apierrors.IsForbidden(err) && w.deniesBlocks(resource): // of which followBlocks tells
			w.keepAnyBlock(resource)
		case err != nil: // what was found stays known, whatever a server that starts says
			select {
			case <-ctx.Done():
			case <-time.After(wait.Jitter(lookSoon, 1)):
			}
			continue
		default:
			w.setAnyBlock(resource, len(list.Items) > 0)
		}
		w.pauseAtMost(ctx, w.untilNextLook(absent))
	}
}

// deniesBlocks reports whether the account lacks the permission for the blocks of an API,
// which it does not after a single 403.
func (w *Watcher) deniesBlocks(resource schema.GroupVersionResource) bool {
	for i, b := range blockSources(w.config.Node) {
		if b.resource == resource && isDenied(w.blocks[i].health) {
			return true
		}
	}
	return false
}

// keepAnyBlock has what is known of an API's blocks count, be it nothing: nothing more is
// to be learned.
func (w *Watcher) keepAnyBlock(resource schema.GroupVersionResource) {
	w.mu.Lock()
	had := w.anyBlock.objects[resource.Group]
	w.mu.Unlock()
	w.setAnyBlock(resource, had)
}

// setAnyBlock notes whether an API has blocks of any node.
func (w *Watcher) setAnyBlock(resource schema.GroupVersionResource, any bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := resource.Group
	known := w.anyBlock.known()
	if known && w.anyBlock.objects[key] == any && w.lookedForBlocks[key] {
		return
	}
	if w.anyBlock.objects[key] = any; !any {
		delete(w.anyBlock.objects, key)
	}
	w.lookedForBlocks[key] = true
	if len(w.lookedForBlocks) == len(calicoResources()) {
		w.anyBlock.health.looked()
	}
	w.prefixesChanged()
}

// untilNextLook returns when to look for blocks again. While a node has none, and an API
// for them is there, that must not take long: what it takes for its prefix may be
// another node's.
func (w *Watcher) untilNextLook(absent bool) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.blocks {
		absent = absent || len(k.objects) > 0
	}
	if absent {
		return lookAgain
	}
	return lookForFirst
}

// isAbsent reports whether the server says that it has no such API. An account without
// the permission gets the same answer for an API that is there and for one that is not,
// but every account may ask which ones there are.
func (c *Client) isAbsent(ctx context.Context, resource schema.GroupVersionResource) bool {
	b, err := c.typed.groups[corev1.SchemeGroupVersion].Get().AbsPath("/apis", resource.Group, resource.Version).
		SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return apierrors.IsNotFound(err)
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(b, &list); err != nil {
		return false
	}
	for _, r := range list.APIResources {
		if r.Name == resource.Resource {
			return false
		}
	}
	return true
}
