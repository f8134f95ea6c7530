// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// eventQueue is how many events may wait before the watcher does. When the
// kernel's buffer overruns behind it, the watcher asks to read everything.
const eventQueue = 64

// supervisor owns the uplinks. Only the daemon's loop calls apply and handle;
// mu lets others look.
type supervisor struct {
	log    *slog.Logger
	store  *rules.Store
	events chan hostwatch.Event
	done   chan struct{} // closed when the loop has ended

	mu      sync.Mutex
	uplinks []*uplink
}

func newSupervisor(log *slog.Logger, store *rules.Store) *supervisor {
	s := &supervisor{
		log: log, store: store,
		events: make(chan hostwatch.Event, eventQueue),
		done:   make(chan struct{}),
	}
	store.Follow(s.follow)
	return s
}

// notify hands an event to the loop. Any goroutine may call it.
func (s *supervisor) notify(e hostwatch.Event) {
	select {
	case s.events <- e:
	case <-s.done:
	}
}

// apply puts uplinks and rules in force. An uplink that stays keeps its socket.
func (s *supervisor) apply(configs []rules.Uplink, table *rules.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := make(map[string]*uplink, len(s.uplinks))
	for _, u := range s.uplinks {
		kept[u.config.Interface] = u
	}
	s.uplinks = nil
	for _, c := range configs {
		u, ok := kept[c.Interface]
		if !ok {
			u = newUplink(s.log, c, s.notify, s.configured)
		}
		delete(kept, c.Interface)
		u.configure(c)
		s.uplinks = append(s.uplinks, u)
	}
	for _, u := range kept {
		u.report(u.close())
		u.log.Info("uplink removed")
	}
	s.store.Publish(table)
	for _, u := range s.uplinks {
		u.refresh()
	}
}

// follow hands a new table to the uplinks. It runs inside of Publish.
func (s *supervisor) follow(c rules.Change) {
	for _, u := range s.uplinks {
		u.setView(c.After.View(u.config.Interface))
	}
}

// handle reads the uplinks again that an event may be about.
func (s *supervisor) handle(e hostwatch.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.uplinks {
		if u.concerns(e) {
			u.refresh()
		}
	}
}

// configured reports whether an uplink has that interface.
func (s *supervisor) configured(name string) bool {
	return slices.ContainsFunc(s.uplinks, func(u *uplink) bool { return u.config.Interface == name })
}

// look calls f for every uplink while nothing changes.
func (s *supervisor) look(f func(*uplink)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.uplinks {
		f(u)
	}
}

// stop lets those go who wait to notify. The loop calls it when it ends.
func (s *supervisor) stop() { close(s.done) }

// close releases everything. The loop must have ended.
func (s *supervisor) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, u := range s.uplinks {
		errs = append(errs, u.close())
	}
	if err := errors.Join(errs...); err != nil {
		s.log.Warn("could not release everything", "err", err)
	}
}
