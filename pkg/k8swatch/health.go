// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
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
	// is true when the account may not make it.
	Fault     string
	Forbidden bool
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
	log       *slog.Logger
	forbidden func() // called without a lock; nil where nobody asks
	failed    func() // in a goroutine of its own; nil where nobody asks

	mu       sync.Mutex
	status   SourceStatus
	reported string
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

// heard notes that the server has taken a watch.
func (h *health) heard() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.LastEvent = time.Now()
}

// renewed notes that the server has taken what is ours to write.
func (h *health) renewed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Synced, h.status.LastEvent = true, time.Now()
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
	return s.Synced || s.Restored || s.Missing || s.Forbidden
}

// missing notes that the server has no such API, which is no fault.
func (h *health) missing(is bool) {
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
// the last one.
func (h *health) result(err error, watch bool) {
	if !h.changed(err, watch) {
		return
	}
	if h.failed != nil {
		go h.failed()
	}
	switch {
	case apierrors.IsForbidden(err):
		if h.forbidden != nil {
			h.forbidden()
		}
		h.log.Warn("the account may not read this: see docs/kubernetes.md for the permissions", "err", err)
	case apierrors.IsUnauthorized(err):
		h.log.Warn("the API server does not know the account: its token may have expired; what is known stays", "err", err)
	default:
		h.log.Warn("the API server does not answer: what is known stays", "err", err)
	}
}

// changed notes what became of a request, and returns true for a failure of another
// kind than the last one.
func (h *health) changed(err error, watch bool) bool {
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
		h.status.Fault, h.status.Forbidden, h.reported = "", false, ""
		return false
	}
	h.status.Fault, h.status.Forbidden = err.Error(), apierrors.IsForbidden(err)
	kind := string(apierrors.ReasonForError(err))
	if kind == "" {
		kind = "away" // the words differ each time
	}
	if kind == h.reported {
		return false
	}
	h.reported = kind
	return true
}
