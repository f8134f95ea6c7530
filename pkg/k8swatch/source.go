// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"math"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// reader is one kind of object of a typed client.
type reader[L runtime.Object] interface {
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// selection narrows what is followed, so that it does not grow with the cluster.
type selection struct{ fields, labels string }

// follow keeps a store in line with the server until ctx ends. soon is for what
// a failover waits for: it is tried again within seconds, not half a minute.
func follow[L runtime.Object](ctx context.Context, h *health, r reader[L], sel selection, example runtime.Object, store cache.ReflectorStore, soon bool) {
	narrow := func(o metav1.ListOptions) metav1.ListOptions {
		o.FieldSelector, o.LabelSelector = sel.fields, sel.labels
		return o
	}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return untilPermitted(ctx, h, false, func(error) bool { return false }, func() (L, error) { return r.List(ctx, narrow(o)) })
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			cannotStream := func(err error) bool { return o.SendInitialEvents != nil && apierrors.IsInvalid(err) } // it is asked for a list
			w, err := untilPermitted(ctx, h, true, cannotStream, func() (watch.Interface, error) { return r.Watch(ctx, narrow(o)) })
			if err == nil { // not every server sends bookmarks
				h.heard()
			}
			return w, err
		},
	}
	options := cache.ReflectorOptions{Name: h.status.Source}
	if soon {
		const first, most = 250 * time.Millisecond, 4 * time.Second
		options.Backoff = &wait.Backoff{Duration: first, Cap: most, Steps: int(math.Log2(float64(most / first))), Factor: 2, Jitter: 0.5}
	}
	cache.NewReflectorWithOptions(lw, example, store, options).RunWithContext(ctx)
}

// labelsOf returns an object's labels whatever its type.
func labelsOf(o runtime.Object) map[string]string {
	if m, err := meta.Accessor(o); err == nil {
		return m.GetLabels()
	}
	return nil
}
