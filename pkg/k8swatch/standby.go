// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"math/rand/v2"
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
	// joinRate is how many nodes a second come forward where some are wanted, and
	// joinLeast how many more than that are not worth a second look.
	joinRate  = 100
	joinLeast = joinRate / 2
	// standbyRetry is how long a node waits at most that could not look.
	standbyRetry = 30 * time.Second
)

// standBy waits until this node is wanted among the announcers, and returns false
// when ctx has ended. A node that does not announce costs the server a look at the
// leases now and then: on a large cluster most nodes do not.
func (w *Watcher) standBy(ctx context.Context) bool {
	if w.services.known() { // it announced before, and the server may be away
		return true
	}
	h := newHealth(w.config.Log, SourceLeases)
	w.show(h)
	defer w.hide(h) // what follows them is shown then
	var last map[string]Lease
	nodes, asked, retry := 0, false, retryTime
	for {
		wait, all, err := time.Duration(0), map[string]Lease(nil), error(nil)
		if nodes == 0 {
			nodes, err = w.countNodes(ctx)
		}
		var live []Lease
		if err == nil {
			live, all, err = w.look(ctx, last)
		}
		h.result(err, false)
		switch {
		case ctx.Err() != nil:
			return false
		case apierrors.IsForbidden(err): // who follows them hears it as well
			return true
		case err != nil:
			wait = retry
			retry = min(2*retry, standbyRetry)
		case !w.wanted(live):
			h.renewed()
			asked, last = false, all
			wait = spread(max(standbyLeast, time.Duration(nodes)*time.Second/standbyRate))
		case asked || nodes <= joinLeast || all[w.config.Node].Node != "":
			return true
		default: // so that not all come forward at once
			asked = true
			wait = rand.N(time.Duration(nodes) * time.Second / joinRate) //nolint:gosec // no secret
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// spread returns about that time.
func spread(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2) } //nolint:gosec // no secret

// wanted asks the handler, one call at a time.
func (w *Watcher) wanted(announcers []Lease) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.handler.Wanted(announcers)
}

// look reads the leases, and returns those that have not ended since the last look
// and all of them by their node.
func (w *Watcher) look(ctx context.Context, last map[string]Lease) (live []Lease, all map[string]Lease, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	// Version 0 is what the server has at hand, without a word with its storage.
	list, err := w.client.typed.leases(w.config.Namespace).List(ctx, metav1.ListOptions{LabelSelector: announcerLabel, ResourceVersion: "0"})
	if err != nil {
		return nil, nil, err
	}
	all = make(map[string]Lease, len(list.Items))
	for i := range list.Items {
		l, ok := readLease(&list.Items[i])
		if !ok {
			continue
		}
		all[l.Node] = l
		if last[l.Node] != l {
			live = append(live, l)
		}
	}
	return live, all, nil
}

// countNodes returns how many nodes the cluster has, 1 where the account may not
// know.
func (w *Watcher) countNodes(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := w.client.typed.nodes().List(ctx, metav1.ListOptions{Limit: 1})
	switch {
	case apierrors.IsForbidden(err), err == nil && list.RemainingItemCount == nil:
		return 1, nil
	case err != nil:
		return 0, err
	}
	return 1 + int(*list.RemainingItemCount), nil
}
