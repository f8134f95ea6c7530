// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// standbyRate is how many times a second all nodes that stand by look at the
	// leases, together and whatever their number.
	standbyRate = 50
	// standbyLeast is how often one of them looks at most. It is more than
	// LeaseTime, so that a lease that is as it was at the last look has ended.
	standbyLeast = 3 * LeaseTime
	// joinFirst is how many nodes come forward in the first second, when there are
	// seats and all stand by; in each second more it is twice as many, since those
	// before were too few. Clusters of up to joinAtOnce nodes do not wait.
	joinFirst, joinAtOnce = 64, 50
	// countAgain is how often the nodes of the cluster are counted.
	countAgain = time.Hour
)

// standby is a node that does not announce. It costs the server a look at the leases
// now and then: on a large cluster most nodes are such.
type standby struct {
	w       *Watcher
	keeper  *keeper
	health  *health
	last    map[string]Lease // by their nodes, at a look more than LeaseTime ago
	nodes   int              // of the cluster
	counted time.Time
	read    bool // the leases were read once
	asked   bool // this node was wanted at the last look
	retry   time.Duration

	callMu sync.Mutex
	call   *kept[called] // the call for this node
}

// standBy waits until this node has a seat among the announcers, and returns false
// when ctx has ended. written is true where the lease is.
func (w *Watcher) standBy(ctx context.Context, k *keeper) (written, ok bool) {
	if w.services.known() { // it announced before, and the server may be away
		return false, true
	}
	s := &standby{w: w, keeper: k, health: newHealth(w.config.Log, SourceLeases), retry: retryTime}
	w.show(s.health)
	defer w.hide(s.health) // what follows the leases is shown then
	standing, stop := context.WithCancel(ctx)
	defer stop()
	arrived := s.followCall(standing)
	defer w.hide(s.call.health)
	for {
		wait, seated := s.turn(ctx)
		if ctx.Err() != nil {
			k.release()
			return false, false
		}
		if seated {
			return k.lease != nil, true
		}
		select {
		case <-ctx.Done():
			return false, false
		case <-time.After(wait):
		case <-arrived:
		}
	}
}

// turn looks once, and comes forward if this node is wanted. It returns when to look
// again.
func (s *standby) turn(ctx context.Context) (wait time.Duration, seated bool) {
	live, all, err := s.look(ctx)
	switch {
	case ctx.Err() != nil:
		return 0, false
	case err != nil:
		wait := s.failed(err)
		if s.health.get().NoPermission && !s.read { // nobody else is ever going to be known
			s.w.leases.health.adopt(s.health)
			return 0, true
		}
		return wait, false
	}
	s.health.result(nil, false)
	s.health.renewed()
	s.read, s.retry = true, retryTime
	isCalled := s.isCalled()
	if isCalled {
		s.w.called()
	}
	switch {
	case !s.w.wanted(live, s.count(ctx, len(live))):
		s.asked, s.last = false, all
		return spread(s.every()), false
	case all[s.w.config.Node].Node != "" && len(all) > 1: // of the last process: others may count on it
		s.w.joining()
		s.w.scopes.skipGrace() // others announce
		s.answerCall(ctx)
		return 0, true
	case !isCalled && all[s.w.config.Node].Node == "" && !s.asked && s.nodes > joinAtOnce: // so that not all come forward at once
		s.asked = true
		return joinWait(s.nodes, rand.Float64()), false //nolint:gosec // no secret
	}
	return s.takeSeat(ctx)
}

// joinWait returns when a node comes forward, as one of nodes, of which the share
// before it does so earlier.
func joinWait(nodes int, before float64) time.Duration {
	return time.Duration(math.Log2(1+before*float64(nodes)/joinFirst) * float64(time.Second))
}

// takeSeat writes the lease, and looks whether the seat was still free: others may
// have come forward as well.
func (s *standby) takeSeat(ctx context.Context) (wait time.Duration, seated bool) {
	s.asked = false
	s.w.joining()
	err := s.keeper.renew(ctx)
	if held := new(HeldError); errors.As(err, &held) { // who keeps the lease tells of it
		return 0, true
	}
	if apierrors.IsForbidden(err) && ctx.Err() == nil {
		s.w.show(s.keeper.health)
		if s.keeper.health.result(err, false); s.keeper.health.get().NoPermission { // who keeps the lease tells of it
			return 0, true
		}
		return spread(s.keeper.health.pace()), false
	}
	var live []Lease
	var all map[string]Lease
	if err == nil {
		live, all, err = s.look(ctx)
	}
	if err == nil && s.w.wanted(live, s.count(ctx, len(live))) {
		s.w.scopes.wrote()
		if s.isCalled() {
			s.w.scopes.skipGrace() // by one who announces
		}
		s.answerCall(ctx)
		return 0, true
	}
	s.keeper.release()
	s.last = all
	if err != nil && ctx.Err() == nil {
		return s.failed(err), false
	}
	return spread(s.every()), false
}

// failed notes that the server could not be asked, and returns when to ask it again.
// What was seen before tells nothing of who is there then: nobody could renew.
func (s *standby) failed(err error) time.Duration {
	s.health.result(err, false)
	s.last = nil
	if apierrors.IsForbidden(err) {
		return spread(s.health.pace())
	}
	wait := spread(s.retry)
	s.retry = min(2*s.retry, s.every())
	if s.isCalled() {
		return callRetry
	}
	return wait
}

// every is how often this node looks, give or take.
func (s *standby) every() time.Duration {
	return max(standbyLeast, time.Duration(s.nodes)*time.Second/standbyRate)
}

// spread returns about that time.
func spread(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2) } //nolint:gosec // no secret

// look reads the leases, and returns those that have not ended since the last look
// and all of them by their node.
func (s *standby) look(ctx context.Context) (live []Lease, all map[string]Lease, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if time.Since(s.counted) > countAgain {
		nodes, permitted, err := s.w.countNodes(ctx)
		if err != nil {
			return nil, nil, err
		}
		if s.nodes = nodes; permitted {
			s.counted = time.Now()
		}
	}
	// Version 0 is what the server has at hand, without a word with its storage.
	o := metav1.ListOptions{ResourceVersion: "0"}
	if s.keeper.lease != nil { // with what was just written
		o.ResourceVersion, o.ResourceVersionMatch = s.keeper.lease.ResourceVersion, metav1.ResourceVersionMatchNotOlderThan
	}
	all = make(map[string]Lease)
	for _, o.LabelSelector = range s.w.handler.Links().selectors() {
		list, err := s.w.client.typed.leases(s.w.config.Namespace).List(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		for i := range list.Items {
			if l, ok := readLease(&list.Items[i]); ok {
				all[l.Node] = l
			}
		}
	}
	for node, l := range all {
		if s.last[node] != l {
			live = append(live, l)
		}
	}
	return live, all, nil
}

// count returns how many leases there are, whoever's, and 0 where it need not be known:
// the bound for all links matters to nodes with few others on theirs, and not to those
// with none.
func (s *standby) count(ctx context.Context, near int) int {
	if near < 2 {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := s.w.client.typed.leases(s.w.config.Namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil || list.RemainingItemCount == nil {
		return 0
	}
	return 1 + int(*list.RemainingItemCount)
}

// wanted asks the handler, one call at a time.
func (w *Watcher) wanted(announcers []Lease, all int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.handler.Wanted(announcers, all)
}

// joining tells the handler, one call at a time.
func (w *Watcher) joining() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handler.Joining()
}

// countNodes returns how many nodes the cluster has, and 1 with permitted false where
// the account may not know, or not yet.
func (w *Watcher) countNodes(ctx context.Context) (n int, permitted bool, err error) {
	list, err := w.client.typed.nodes().List(ctx, metav1.ListOptions{Limit: 1})
	switch {
	case apierrors.IsForbidden(err):
		return 1, false, nil
	case err != nil:
		return 0, false, err
	case list.RemainingItemCount == nil:
		return 1, true, nil
	}
	return 1 + int(*list.RemainingItemCount), true, nil
}
