// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/flowcontrol"
)

const (
	// eventsWaiting is how many Events may wait; more are dropped.
	eventsWaiting = 16
	// eventRate a second, and eventBurst at once, are written: a node that dies
	// may move thousands of addresses.
	eventRate, eventBurst = 0.1, 10
	component             = "ndproxyd"
)

// Event is something that people should find with kubectl describe.
type Event struct {
	Warning bool
	// Reason is one word in CamelCase.
	Reason, Message string
	// Pod or Service is what it is about; with neither it is about the node.
	Pod     *Pod
	Service *Service
}

// Emit has an Event written, or drops it if too many wait. It does not block, and any
// goroutine may call it.
func (w *Watcher) Emit(e Event) {
	select {
	case w.events <- e:
	default:
	}
}

// sendEvents writes Events until ctx ends.
func (w *Watcher) sendEvents(ctx context.Context) {
	limit := flowcontrol.NewTokenBucketRateLimiter(eventRate, eventBurst)
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.events:
			if limit.TryAccept() {
				w.send(ctx, e)
			}
		}
	}
}

func (w *Watcher) send(ctx context.Context, e Event) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	about := corev1.ObjectReference{Kind: "Node", APIVersion: "v1", Name: w.config.Node, UID: types.UID(w.nodeUID())}
	switch {
	case e.Pod != nil:
		about = corev1.ObjectReference{Kind: "Pod", APIVersion: "v1", Namespace: e.Pod.Namespace, Name: e.Pod.Name}
		about.UID = types.UID(e.Pod.UID)
	case e.Service != nil:
		about = corev1.ObjectReference{Kind: "Service", APIVersion: "v1", Namespace: e.Service.Namespace, Name: e.Service.Name}
		about.UID = types.UID(e.Service.UID)
	}
	namespace := about.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	now := metav1.Now()
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", about.Name, now.UnixNano()), Namespace: namespace},
		InvolvedObject: about, Reason: e.Reason, Message: e.Message, Type: corev1.EventTypeNormal,
		Source:         corev1.EventSource{Component: component, Host: w.config.Node},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		ReportingController: component, ReportingInstance: w.config.Node,
	}
	if e.Warning {
		event.Type = corev1.EventTypeWarning
	}
	if _, err := w.client.typed.events(namespace).Create(ctx, event); err != nil && ctx.Err() == nil {
		w.config.Log.Warn("could not write an Event", "reason", e.Reason, "err", err)
	}
}
