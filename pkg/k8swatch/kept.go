// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

const (
	// massDelete is the least number of objects that are known when a list that
	// lacks more than half of them is not believed at once. An API server that
	// was restored from an old copy, or lost its storage, gives such lists.
	massDelete = 4
	// massDeleteHold is how long what such a list lacks is kept.
	massDeleteHold = time.Minute
)

// kept is what a source keeps of its objects, and what a reflector writes to. Of
// each object it keeps what read returns.
type kept[T any] struct {
	read func(object any) (value T, ok bool)
	// changed is called with the keys of every change, with mu held.
	changed func(keys []string)
	health  *health

	mu      *sync.Mutex
	objects map[string]T
	held    map[string]bool // objects that the last list lacks
	timer   *time.Timer
	// restored is true for objects of the snapshot, until the first list, which
	// is believed.
	restored bool
}

func newKept[T any](mu *sync.Mutex, h *health, read func(any) (T, bool), changed func([]string)) *kept[T] {
	return &kept[T]{read: read, changed: changed, health: h, mu: mu, objects: make(map[string]T), held: make(map[string]bool)}
}

// trimmed is an object on its way from a list to kept: a name and a value.
type trimmed[T any] struct {
	metav1.ObjectMeta
	value T
	ok    bool
}

// Transformer implements [cache.TransformingStore]: a list is trimmed while it
// is read.
func (k *kept[T]) Transformer() cache.TransformFunc {
	return func(object any) (any, error) { return k.trim(object) }
}

func (k *kept[T]) trim(object any) (*trimmed[T], error) {
	if t, done := object.(*trimmed[T]); done {
		return t, nil
	}
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	o, ok := object.(metav1.Object)
	if !ok {
		return nil, fmt.Errorf("trim %T: it has no name", object)
	}
	t := &trimmed[T]{ObjectMeta: metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName(), ResourceVersion: o.GetResourceVersion()}}
	t.value, t.ok = k.read(object)
	return t, nil
}

func (t *trimmed[T]) key() string {
	if t.Namespace == "" {
		return t.Name
	}
	return t.Namespace + "/" + t.Name
}

// Add implements [cache.ReflectorStore].
func (k *kept[T]) Add(object any) error {
	t, err := k.trim(object)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key := t.key()
	delete(k.held, key)
	k.relax()
	k.health.event(len(k.held))
	if t.ok {
		k.objects[key] = t.value
	} else {
		delete(k.objects, key)
	}
	k.changed([]string{key})
	return nil
}

// Update implements [cache.ReflectorStore].
func (k *kept[T]) Update(object any) error { return k.Add(object) }

// Delete implements [cache.ReflectorStore].
func (k *kept[T]) Delete(object any) error {
	t, err := k.trim(object)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, t.key())
	delete(k.objects, t.key())
	k.relax()
	k.health.event(len(k.held))
	k.changed([]string{t.key()})
	return nil
}

// Replace implements [cache.ReflectorStore]: it takes a whole list.
func (k *kept[T]) Replace(list []any, _ string) error {
	fresh := make(map[string]*trimmed[T], len(list))
	for _, object := range list {
		t, err := k.trim(object)
		if err != nil {
			return err
		}
		fresh[t.key()] = t
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	known := len(k.objects)
	var keys, missing []string
	for key := range k.objects {
		if fresh[key] == nil {
			missing = append(missing, key)
		}
	}
	for key, t := range fresh {
		delete(k.held, key)
		if t.ok {
			k.objects[key] = t.value
		} else {
			delete(k.objects, key)
		}
		keys = append(keys, key)
	}
	if !k.restored && known >= massDelete && 2*len(missing) > known {
		k.hold(missing)
	} else {
		keys = append(keys, k.drop(missing)...)
	}
	k.restored = false
	k.relax()
	k.health.listed(len(k.held))
	k.changed(keys)
	return nil
}

// hold keeps objects that a list lacks for a while.
func (k *kept[T]) hold(keys []string) {
	for _, key := range keys {
		k.held[key] = true
	}
	if k.timer == nil {
		k.timer = time.AfterFunc(massDeleteHold, k.release)
	}
}

// relax forgets the time at which nothing is left to be given up.
func (k *kept[T]) relax() {
	if len(k.held) == 0 && k.timer != nil {
		k.timer.Stop()
		k.timer = nil
	}
}

// clear forgets everything at once: the API is gone, or nobody needs it now.
func (k *kept[T]) clear() {
	keys := make([]string, 0, len(k.objects))
	for key := range k.objects {
		keys = append(keys, key)
	}
	k.drop(keys)
	k.relax()
	k.changed(keys)
}

// release gives up what is still held.
func (k *kept[T]) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = nil
	if k.health.failing() { // a list may still come that knows better
		k.timer = time.AfterFunc(massDeleteHold, k.release)
		return
	}
	var keys []string
	for key := range k.held {
		keys = append(keys, key)
	}
	dropped := k.drop(keys)
	k.health.holds(len(k.held))
	k.changed(dropped)
}

func (k *kept[T]) drop(keys []string) []string {
	for _, key := range keys {
		delete(k.objects, key)
		delete(k.held, key)
	}
	return keys
}

// Resync implements [cache.ReflectorStore].
func (k *kept[T]) Resync() error { return nil }

// Bookmark implements [cache.ReflectorBookmarkStore]: nothing has changed, but the
// server is there.
func (k *kept[T]) Bookmark(string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.health.event(len(k.held))
	return nil
}
