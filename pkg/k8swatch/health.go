// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// SourceStatus tells how one kind of object is followed.
type SourceStatus struct {
	// Source is the resource, such as "pods".
	Source string
	// Synced is true from the first list on, whatever happens to the server
	// later. Restored is true before that for what came from the snapshot.
	Synced, Restored bool
	// LastEvent is when the server was last heard of this, by a list, a watch that
	// it took, an event or a bookmark.
	LastEvent time.Time
	// Fault is why the last request failed, "" since one succeeded. Forbidden
	// is true when the API server forbade it, and NoPermission when it has forbidden
	// every one for [ForbiddenFor], until one works.
	Fault                   string
	Forbidden, NoPermission bool
	// Missing is true while the server has no such API.
	Missing bool
	// Held is the number of objects that are kept although the last list lacks
	// them.
	Held int
	// Lists and Watches count requests.
	Lists, Watches uint64
}

// health records how a source fares: what its last requests came to.
type health struct {
	log *slog.Logger
	// forbidden is called when the permission counts as missing, without a lock, and
	// permitted when it no longer does, which may be with the watcher's lock held;
	// failed is called in a goroutine of its own. All are nil where nobody asks.
	forbidden, permitted, failed func()

	mu         sync.Mutex
	status     SourceStatus
	permission permission
	reported   string
}

func newHealth(log *slog.Logger, source string) *health {
	return &health{log: log.With("source", source), status: SourceStatus{Source: source}}
}

func (h *health) get() SourceStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status
}

// event notes that the server was heard, after which objects are held.
func (h *health) event(held int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.LastEvent, h.status.Held = time.Now(), held
}

// listed notes a whole list, after which objects are held.
func (h *health) listed(held int) {
	h.list(held)
	h.grant()
}

func (h *health) list(held int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.status.Synced {
		h.log.Info("source synced")
	}
	if held > 0 && h.status.Held == 0 {
		h.log.Warn("a list lacks more than half of what was known: that is kept for a while", "held", held, "for", massDeleteHold)
	}
	h.status.Synced, h.status.Restored, h.status.LastEvent, h.status.Held = true, false, time.Now(), held
}

// looked notes that the server has told what is not followed.
func (h *health) looked() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Synced, h.status.Restored, h.status.LastEvent = true, false, time.Now()
}

// heard notes that the server has taken a watch.
func (h *health) heard() {
	h.mu.Lock()
	h.status.LastEvent = time.Now()
	synced := h.status.Synced
	h.mu.Unlock()
	if synced { // it goes on from what was listed
		h.grant()
	}
}

// renewed notes that the server has taken what is ours to write.
func (h *health) renewed() {
	h.mu.Lock()
	h.status.Synced, h.status.LastEvent = true, time.Now()
	h.mu.Unlock()
	h.grant()
}

// grant notes that requests work. It is not enough that one was answered: what a source
// has is known from its first list on, and until then a missing permission is what
// explains that it is not.
func (h *health) grant() {
	h.mu.Lock()
	was := h.permission.grant()
	h.status.NoPermission = false
	h.mu.Unlock()
	if !was {
		return
	}
	h.log.Info("the account has the permission again, which counted as missing")
	if h.permitted != nil {
		h.permitted()
	}
}

// presume takes a permission for missing that was so for the process before.
func (h *health) presume() {
	h.mu.Lock()
	h.permission = permission{since: time.Now(), missing: true}
	h.status.Forbidden, h.status.NoPermission = true, true
	h.status.Fault = "the permission was missing before the daemon started"
	h.mu.Unlock()
	if h.forbidden != nil {
		h.forbidden()
	}
}

// adopt takes over for how long another kind of request for the same was forbidden.
func (h *health) adopt(from *health) {
	from.mu.Lock()
	p, s := from.permission, from.status
	from.mu.Unlock()
	h.mu.Lock()
	h.permission, h.status.Forbidden, h.status.NoPermission, h.status.Fault = p, s.Forbidden, s.NoPermission, s.Fault
	h.mu.Unlock()
	if p.missing && h.forbidden != nil {
		h.forbidden()
	}
}

func (h *health) holds(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Held = n
}

func (h *health) restored(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.status.Synced {
		h.status.Restored, h.status.LastEvent = true, at
	}
}

// known reports whether everything of the source is known, be that nothing.
func (h *health) known() bool {
	s := h.get()
	return s.Synced || s.Restored || s.Missing || s.NoPermission
}

// missing notes whether the server has such an API. That it has none is no fault.
func (h *health) missing(is bool) {
	if is {
		h.grant()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.status.Missing = is; is {
		h.status.Fault, h.status.Forbidden, h.reported, h.status.Synced, h.status.Restored = "", false, "", false, false
	}
}

func (h *health) failing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status.Fault != ""
}

// result notes what became of a request, and reports a failure of another kind than
// the last one, and a permission that counts as missing from now on.
func (h *health) result(err error, watch bool) {
	changed, lost := h.observe(err, watch)
	if changed && h.failed != nil {
		go h.failed()
	}
	if lost && h.forbidden != nil {
		h.forbidden()
	}
	held := new(HeldError)
	switch {
	case errors.As(err, &held) && changed: // the handler tells of one that is alive
		h.log.Info(err.Error())
	case lost:
		h.log.Warn("the account lacks a permission: see docs/kubernetes.md; it is asked for again, and counts when it is granted", "forbidden_for", ForbiddenFor, "err", err)
	case changed:
		h.log.Warn(describe(err)+": what is known stays", "err", err)
	}
}

// describe says what kind of failure a request has met.
func describe(err error) string {
	var answer apierrors.APIStatus
	held := new(HeldError)
	switch {
	case errors.As(err, &held):
		return err.Error()
	case apierrors.IsForbidden(err):
		return "the API server forbids a request, as one does that starts; after " + ForbiddenFor.String() + " it is taken for a missing permission"
	case apierrors.IsUnauthorized(err):
		return "the API server does not know the account: its token may have expired"
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return "somebody else has written the object meanwhile"
	case apierrors.IsTooManyRequests(err):
		return "the API server has too much to do, and asks to wait"
	case apierrors.IsTimeout(err), apierrors.IsServerTimeout(err):
		return "the API server does not answer in time"
	case errors.As(err, &answer):
		return "the API server answers with an error"
	}
	return "the API server does not answer"
}

// observe notes what became of a request, and returns whether it is a failure of
// another kind than the last one, and whether a permission counts as missing from now
// on.
func (h *health) observe(err error, watch bool) (changed, lost bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if watch {
		h.status.Watches++
	} else {
		h.status.Lists++
	}
	if err == nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) { // a watch that begins anew
		if h.status.Fault != "" {
			h.log.Info("source is followed again")
		}
		h.permission.answer()
		h.status.Fault, h.status.Forbidden, h.reported = "", false, ""
		return false, false
	}
	h.status.Fault, h.status.Forbidden = err.Error(), apierrors.IsForbidden(err)
	if h.status.Forbidden {
		lost = h.permission.forbid(time.Now())
		h.status.NoPermission = h.permission.missing
	} else {
		h.permission.answer()
	}
	kind := describe(err)
	if kind == h.reported {
		return false, lost
	}
	h.reported = kind
	return true, lost
}
