// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/tools/cache"
)

const (
	// graceTime is how long the leases are not taken for complete after ours was
	// written: an announcer that is by itself has none, sees ours, and takes one within
	// a second.
	graceTime = 1500 * time.Millisecond
	// graceLimit is how long after the lists that is at most, where our lease cannot be
	// written.
	graceLimit = 10 * time.Second
)

// scopes follows the leases of all who may be on a link of ours, by several watches, and
// merges them into one store. Its lock is taken before the watcher's.
type scopes struct {
	w      *Watcher
	posted chan struct{} // the links may have changed

	mu    sync.Mutex
	all   map[string]*scope // by their selectors
	links Links
	grace bool // it has ended, or there is none
	timer *time.Timer
}

// scope is one of the watches, and what its reflector writes to.
type scope struct {
	of     *scopes
	stop   context.CancelFunc
	listed bool
	leases map[string]*trimmed[Lease]
}

func newScopes(w *Watcher) *scopes {
	return &scopes{w: w, posted: make(chan struct{}, 1), all: make(map[string]*scope)}
}

// LinksChanged has the leases of other links followed, if [Handler.Links] returns others.
// It does not block, and any goroutine may call it.
func (w *Watcher) LinksChanged() {
	select {
	case w.scopes.posted <- struct{}{}:
	default:
	}
}

// run follows the leases until ctx ends.
func (s *scopes) run(ctx context.Context) {
	for {
		s.follow(ctx, s.w.handler.Links())
		select {
		case <-ctx.Done():
			return
		case <-s.posted:
		}
	}
}

// follow follows the leases of those on the links from now on. Where there is no link at
// present it stays with those of the last one.
func (s *scopes) follow(ctx context.Context, links Links) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) > 0 && (links.none() || links.equal(s.links)) {
		return
	}
	s.links = links
	wanted := links.selectors()
	for selector, old := range s.all {
		if !slices.Contains(wanted, selector) {
			delete(s.all, selector)
			old.end()
		}
	}
	for _, selector := range wanted {
		if s.all[selector] != nil {
			continue
		}
		within, stop := context.WithCancel(ctx)
		n := &scope{of: s, stop: stop, leases: make(map[string]*trimmed[Lease])}
		s.all[selector] = n
		go follow(within, s.w.leases.health, s.w.client.typed.leases(s.w.config.Namespace), selection{labels: selector}, &coordinationv1.Lease{}, n, true)
	}
}

// wrote notes that our lease has been written: the leases will be complete soon.
func (s *scopes) wrote() { s.endGraceIn(graceTime) }

// skipGrace is for a node that knows already that others announce.
func (s *scopes) skipGrace() { s.endGraceIn(0) }

func (s *scopes) endGraceIn(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil || d < graceTime {
		s.timer = time.AfterFunc(d, s.endGrace)
	}
}

func (s *scopes) endGrace() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.grace {
		s.grace = true
		s.complete()
	}
}

// complete hands everything over as one list, once all lists are there.
func (s *scopes) complete() {
	for _, o := range s.all {
		if !o.listed {
			return
		}
	}
	if !s.grace {
		time.AfterFunc(graceLimit, s.endGrace)
		return
	}
	var list []any
	merged := make(map[string]bool)
	for _, o := range s.all {
		for key, t := range o.leases {
			if !merged[key] {
				merged[key] = true
				list = append(list, t)
			}
		}
	}
	_ = s.w.leases.Replace(list, "") // of what was trimmed it fails for nothing
}

// has reports whether any scope has a lease.
func (s *scopes) has(key string) bool {
	for _, o := range s.all {
		if o.leases[key] != nil {
			return true
		}
	}
	return false
}

// end ends a scope. What it alone had is gone.
func (o *scope) end() {
	o.stop()
	leases := o.leases
	o.leases = nil
	for key, t := range leases {
		if !o.of.has(key) {
			_ = o.of.w.leases.Delete(t)
		}
	}
}

// ended reports whether a reflector that is about to end still writes.
func (o *scope) ended() bool { return o.leases == nil }

// Transformer implements [cache.TransformingStore].
func (o *scope) Transformer() cache.TransformFunc { return o.of.w.leases.Transformer() }

// Add implements [cache.ReflectorStore].
func (o *scope) Add(object any) error {
	t, err := o.of.w.leases.trim(object)
	if err != nil {
		return err
	}
	o.of.mu.Lock()
	defer o.of.mu.Unlock()
	if o.ended() {
		return nil
	}
	o.leases[t.key()] = t
	return o.of.w.leases.Add(t)
}

// Update implements [cache.ReflectorStore].
func (o *scope) Update(object any) error { return o.Add(object) }

// Delete implements [cache.ReflectorStore].
func (o *scope) Delete(object any) error {
	t, err := o.of.w.leases.trim(object)
	if err != nil {
		return err
	}
	o.of.mu.Lock()
	defer o.of.mu.Unlock()
	if o.ended() {
		return nil
	}
	delete(o.leases, t.key())
	if o.of.has(t.key()) {
		return nil
	}
	return o.of.w.leases.Delete(t)
}

// Replace implements [cache.ReflectorStore]: it takes a list of this scope.
func (o *scope) Replace(list []any, _ string) error {
	fresh := make(map[string]*trimmed[Lease], len(list))
	for _, object := range list {
		t, err := o.of.w.leases.trim(object)
		if err != nil {
			return err
		}
		fresh[t.key()] = t
	}
	o.of.mu.Lock()
	defer o.of.mu.Unlock()
	if o.ended() {
		return nil
	}
	o.leases, o.listed = fresh, true
	for _, t := range fresh { // at once, while others are waited for
		if err := o.of.w.leases.Add(t); err != nil {
			return err
		}
	}
	o.of.complete()
	return nil
}

// Resync implements [cache.ReflectorStore].
func (o *scope) Resync() error { return nil }

// Bookmark implements [cache.ReflectorBookmarkStore].
func (o *scope) Bookmark(string) error { return o.of.w.leases.Bookmark("") }
