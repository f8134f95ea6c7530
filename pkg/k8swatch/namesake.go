// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// HeldError says that the lease of this node is kept by another process, which is none
// of this host that has ended: two daemons have one node name.
type HeldError struct {
	// Node is the name of both, Holder the other process, and Record what that says of
	// itself.
	Node, Holder, Record string
	// Alive is true when a renewal was seen. Until then the lease may be one of a host
	// that is gone, whose name this one has now.
	Alive bool
}

// Error implements error.
func (e *HeldError) Error() string {
	if e.Alive {
		return fmt.Sprintf("the lease of node %s is renewed by another daemon, %s: two have that name", e.Node, e.Holder)
	}
	return fmt.Sprintf("the lease of node %s is another host's, %s: it is taken over if it is not renewed", e.Node, e.Holder)
}

// rival is another process with the lease of this node.
type rival struct {
	holder  string
	renewed time.Time // by its clock, to tell one renewal from the next
	since   time.Time // when the last renewal was seen, by ours
	alive   bool
}

// check returns an error while the lease, as the server has it, is another daemon's.
// Who had it first keeps it. A process of this host is followed at once, and any other
// when it has not renewed its lease for LeaseTime.
func (k *keeper) check(l *coordinationv1.Lease, now time.Time) error {
	holder := ""
	if l.Spec.HolderIdentity != nil {
		holder = *l.Spec.HolderIdentity
	}
	record := l.Annotations[recordAnnotation]
	switch {
	case holder == k.holder:
		k.rival, k.had = nil, true
		return nil
	case holder == "":
		return nil
	case !k.had && (k.rival == nil || !k.rival.alive) && k.w.handler.SameHost(record):
		k.rival = nil
		return nil
	}
	var renewed time.Time
	if l.Spec.RenewTime != nil {
		renewed = l.Spec.RenewTime.Time
	}
	switch r := k.rival; {
	case r == nil || r.holder != holder:
		k.rival = &rival{holder: holder, renewed: renewed, since: now, alive: k.had} // it has written after us
	case !renewed.Equal(r.renewed):
		r.renewed, r.since, r.alive = renewed, now, true
	case now.Sub(r.since) >= LeaseTime:
		k.rival, k.had = nil, false
		return nil
	}
	return &HeldError{Node: k.w.config.Node, Holder: holder, Record: record, Alive: k.rival.alive}
}
