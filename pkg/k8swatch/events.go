// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"fmt"
	"log/slog"

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

// eventWriter writes Events.
type eventWriter struct {
	client *Client
	node   string
	uid    func() string // of the Node, "" while it is not known
	log    *slog.Logger
	queue  chan Event
}

func newEventWriter(client *Client, config Config, uid func() string) *eventWriter {
	return &eventWriter{client: client, node: config.Node, uid: uid, log: config.Log, queue: make(chan Event, eventsWaiting)}
}

// emit queues an Event, or drops it if too many wait.
func (w *eventWriter) emit(e Event) {
	select {
	case w.queue <- e:
	default:
	}
}

// run writes Events until ctx ends.
func (w *eventWriter) run(ctx context.Context) {
	limit := flowcontrol.NewTokenBucketRateLimiter(eventRate, eventBurst)
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.queue:
			if limit.TryAccept() {
				w.send(ctx, e)
			}
		}
	}
}

// send writes one Event.
func (w *eventWriter) send(ctx context.Context, e Event) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	about := corev1.ObjectReference{Kind: "Node", APIVersion: "v1", Name: w.node, UID: types.UID(w.uid())}
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
		Source:         corev1.EventSource{Component: component, Host: w.node},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		ReportingController: component, ReportingInstance: w.node,
	}
	if e.Warning {
		event.Type = corev1.EventTypeWarning
	}
	if _, err := w.client.typed.events(namespace).Create(ctx, event); err != nil && ctx.Err() == nil {
		w.log.Warn("writing an Event failed", "reason", e.Reason, "err", err)
	}
}
