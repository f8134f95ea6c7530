// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// callPrefix stands before the name of the node in the name of a call: a Lease
	// that an announcer makes to have a node announce that stands by, and that the
	// node deletes when it does. No announcer's lease has such a name, whatever its
	// node is called.
	callPrefix = "ndproxyd.call."
	// callLabel marks calls, which are no announcers' leases.
	callLabel = "app.kubernetes.io/name=ndproxyd-call"
	// SourceCall is the call for this node, in the status of a node that stands by.
	SourceCall = "call"
)

// calls makes and deletes the calls of other nodes, one after the other and without a
// lock while it waits for the server.
type calls struct {
	w      *Watcher
	posted chan struct{}

	mu     sync.Mutex
	wanted map[string]bool // what is to be done: nodes to call, and false for calls that have ended

	made map[string]types.UID // the calls that this process has made; of run alone
}

func newCalls(w *Watcher) *calls {
	return &calls{w: w, posted: make(chan struct{}, 1), wanted: make(map[string]bool), made: make(map[string]types.UID)}
}

// Call has a node called in that stands by, or with needed false the call withdrawn if
// the node has not come. It does not block, and any goroutine may call it.
func (w *Watcher) Call(node string, needed bool) {
	c := w.calls
	c.mu.Lock()
	c.wanted[node] = needed
	c.mu.Unlock()
	select {
	case c.posted <- struct{}{}:
	default:
	}
}

// run does what was asked for until ctx ends.
func (c *calls) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.posted:
		}
		c.mu.Lock()
		wanted := c.wanted
		c.wanted = make(map[string]bool)
		c.mu.Unlock()
		for node, needed := range wanted {
			if needed {
				c.call(ctx, node)
			} else {
				c.withdraw(ctx, node)
			}
		}
	}
}

// call makes the call of a node, unless there is one.
func (c *calls) call(stop context.Context, node string) {
	ctx, cancel := context.WithTimeout(stop, callTimeout)
	defer cancel()
	label, value, _ := strings.Cut(callLabel, "=")
	now := metav1.NowMicro()
	made, err := c.w.client.typed.leases(c.w.config.Namespace).Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: callPrefix + node, Labels: map[string]string{label: value}},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &c.w.config.Node, AcquireTime: &now},
	})
	switch {
	case err == nil:
		c.made[node] = made.UID
		c.w.config.Log.Info("a Local policy needs a node that stands by: it is called in", "node", node)
	case apierrors.IsAlreadyExists(err): // another announcer was faster
	case stop.Err() == nil:
		c.w.config.Log.Warn("calling a node in failed: it looks by itself whether it is needed, every 30 seconds or less often", "node", node, "err", err)
	}
}

// withdraw deletes a call of ours that nobody needs any more. The node that it is for
// may have done so.
func (c *calls) withdraw(ctx context.Context, node string) {
	uid, ours := c.made[node]
	if !ours {
		return
	}
	delete(c.made, node)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_ = c.w.client.typed.leases(c.w.config.Namespace).Delete(ctx, callPrefix+node, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
}

// called is a call for this node.
type called struct{ uid types.UID }

func readCall(object any) (called, bool) {
	l, ok := object.(*coordinationv1.Lease)
	if !ok || !strings.HasPrefix(l.Name, callPrefix) {
		return called{}, false
	}
	return called{l.UID}, true
}

// followCall follows the call for this node until ctx ends, which is one object by its
// name and so costs the server next to nothing. It returns a channel that receives when
// there is one.
func (s *standby) followCall(ctx context.Context) <-chan struct{} {
	arrived := make(chan struct{}, 1)
	s.call = newKept(&s.callMu, newHealth(s.w.config.Log, SourceCall), readCall, func([]string) {
		if len(s.call.objects) > 0 {
			select {
			case arrived <- struct{}{}:
			default:
			}
		}
	})
	s.w.begin(s.call.health, func() {
		follow(ctx, s.call.health, s.w.client.typed.leases(s.w.config.Namespace), selection{fields: "metadata.name=" + callPrefix + s.w.config.Node}, &coordinationv1.Lease{}, s.call, true)
	})
	return arrived
}

// isCalled reports whether there is a call for this node.
func (s *standby) isCalled() bool {
	s.callMu.Lock()
	defer s.callMu.Unlock()
	return len(s.call.objects) > 0
}

// answerCall deletes the call for this node: it has come.
func (s *standby) answerCall(ctx context.Context) {
	s.callMu.Lock()
	var calls []called
	for _, c := range s.call.objects {
		calls = append(calls, c)
	}
	s.callMu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for _, c := range calls {
		name := callPrefix + s.w.config.Node
		err := s.w.client.typed.leases(s.w.config.Namespace).Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &c.uid}})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			s.w.config.Log.Warn("deleting the call for this node failed: it will come forward once more when it stands by again", "err", fmt.Errorf("delete lease %s/%s: %w", s.w.config.Namespace, name, err))
		}
	}
}

// called tells the handler, one call at a time.
func (w *Watcher) called() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handler.Called()
}

// callRetry is how soon a look is repeated that failed while this node is called in.
const callRetry = time.Second
