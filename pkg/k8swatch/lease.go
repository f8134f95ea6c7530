// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// LeaseTime is how long an announcer counts that does not renew its lease.
	LeaseTime = 10 * time.Second
	// RenewTime is how often it does.
	RenewTime = LeaseTime / 3
	// retryTime is how soon it tries again after a failure.
	retryTime = time.Second
	// leasePrefix stands before the name of a lease's node.
	leasePrefix = "ndproxyd-"
	// announcerLabel marks the leases, to list no others.
	announcerLabel = "app.kubernetes.io/name=ndproxyd"
	// recordAnnotation holds what an announcer says of itself.
	recordAnnotation = "ndproxyd.github.io/announcer"
)

// Lease is what an announcer tells the others.
type Lease struct {
	Node string
	// Holder is the process: it changes when the daemon starts anew.
	Holder string
	// Record is what the announcer says of itself.
	Record string
	// Renewed is when, by the announcer's clock, which is good for nothing but
	// to tell one renewal from the next.
	Renewed int64
	// Made is when the lease was made, by the server's clock and in seconds since
	// 1970.
	Made int64
}

func readLease(object any) (Lease, bool) {
	l, ok := object.(*coordinationv1.Lease)
	if !ok || l.Spec.HolderIdentity == nil || !strings.HasPrefix(l.Name, leasePrefix) {
		return Lease{}, false
	}
	lease := Lease{Node: strings.TrimPrefix(l.Name, leasePrefix), Holder: *l.Spec.HolderIdentity, Record: l.Annotations[recordAnnotation]}
	if !l.CreationTimestamp.IsZero() {
		lease.Made = l.CreationTimestamp.Unix()
	}
	if l.Spec.RenewTime != nil {
		lease.Renewed = l.Spec.RenewTime.UnixNano()
	}
	return lease, true
}

// NewHolder returns the name of this process among a node's.
func NewHolder(node string) string { return node + "_" + strings.ToLower(rand.Text()[:8]) }

// ErrReplaced is the cause of the end of a Run that another watcher of this
// process follows, and that leaves the lease to it.
var ErrReplaced = errors.New("another watcher follows")

// keeper renews this node's lease. One goroutine at a time calls its methods, which
// wait for the server with no lock held.
type keeper struct {
	w      *Watcher
	holder string
	health *health
	lease  *coordinationv1.Lease // as the server has it, nil where that is not known
	wrote  bool                  // there was a try to write it
	had    bool                  // it was ours at the last look
	rival  *rival                // who else keeps it, nil for nobody
}

// run renews until ctx ends, and deletes the lease then, so that others take over
// at once.
func (k *keeper) run(ctx context.Context) {
	defer func() {
		if !errors.Is(context.Cause(ctx), ErrReplaced) {
			k.release()
		}
	}()
	select {
	case <-ctx.Done():
		return
	case <-k.w.begun:
	}
	k.w.show(k.health) // a node that stands by renews nothing
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-k.w.renew:
		}
		if k.w.withdrawn.Load() {
			if k.release() {
				k.w.hide(k.health)
				timer.Stop()
			} else {
				timer.Reset(retryTime)
			}
			continue
		}
		if !k.wrote { // it was given back before
			k.w.hide(k.health)
			k.w.show(k.health)
		}
		err := k.renew(ctx)
		if ctx.Err() != nil {
			continue
		}
		k.health.result(err, false)
		if err == nil {
			k.health.renewed()
		}
		if err == nil || k.health.get().NoPermission {
			k.w.scopes.wrote()
		}
		k.w.handler.Renewed(err)
		timer.Reset(k.wait(err))
	}
}

// wait returns when to renew the lease again after an attempt.
func (k *keeper) wait(err error) time.Duration {
	held := new(HeldError)
	switch {
	case err == nil, errors.As(err, &held) && held.Alive:
		return RenewTime
	case apierrors.IsForbidden(err):
		return k.health.pace()
	}
	return retryTime
}

// renew brings the lease into line with what the announcer says now.
func (k *keeper) renew(stop context.Context) error {
	err := k.try(stop)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) { // somebody else has written it: who?
		err = k.try(stop)
	}
	return err
}

// try reads the lease, where it is not known, and writes it, where it is not another
// daemon's.
func (k *keeper) try(stop context.Context) error {
	ctx, cancel := context.WithTimeout(stop, callTimeout)
	defer cancel()
	api := k.w.client.typed.leases(k.w.config.Namespace)
	name := leasePrefix + k.w.config.Node
	if k.lease == nil {
		l, err := api.Get(ctx, name)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return fmt.Errorf("read lease %s/%s: %w", k.w.config.Namespace, name, err)
		default:
			if err := k.check(l, time.Now()); err != nil {
				return err
			}
			k.lease = l
		}
	}
	k.wrote = true
	var err error
	next := k.lease
	if next == nil {
		next, err = api.Create(ctx, k.fill(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	} else {
		next, err = api.Update(ctx, name, k.fill(next))
	}
	switch {
	case err == nil:
		k.lease, k.had, k.rival = next, true, nil
		return nil
	case stop.Err() == nil: // else what is to be given back is known well enough
		k.lease = nil // read it again
	}
	return fmt.Errorf("renew lease %s/%s: %w", k.w.config.Namespace, name, err)
}

func (k *keeper) fill(l *coordinationv1.Lease) *coordinationv1.Lease {
	now := metav1.NowMicro()
	if l.Labels == nil {
		l.Labels = make(map[string]string)
	}
	label, value, _ := strings.Cut(announcerLabel, "=")
	l.Labels[label] = value
	k.w.handler.Links().mark(l.Labels)
	if uid := k.w.nodeUID(); uid != "" { // the lease ends with its node
		l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: k.w.config.Node, UID: types.UID(uid)}}
	}
	if l.Annotations == nil {
		l.Annotations = make(map[string]string)
	}
	l.Annotations[recordAnnotation] = k.w.handler.Record()
	if l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity != k.holder {
		l.Spec.HolderIdentity, l.Spec.AcquireTime = &k.holder, &now
	}
	seconds := int32(LeaseTime / time.Second)
	l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &seconds, &now
	return l
}

// release deletes the lease, if it is still ours, and reports whether it is gone.
func (k *keeper) release() bool {
	if !k.wrote {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), retryTime)
	defer cancel()
	api := k.w.client.typed.leases(k.w.config.Namespace)
	lease := k.lease
	k.lease, k.wrote = nil, false
	var err error
	for range 2 { // once more if somebody else has written it
		if lease == nil { // the answer to the last request was not waited for
			if lease, err = api.Get(ctx, leasePrefix+k.w.config.Node); err != nil {
				break
			}
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity != k.holder {
			return true
		}
		err = api.Delete(ctx, lease.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion}})
		if !apierrors.IsConflict(err) {
			break
		}
		lease = nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		k.w.config.Log.Warn("giving the lease back failed: other nodes take over when it expires, or when they miss this node on the link", "err", err)
		k.wrote = true
		return false
	}
	return true
}
