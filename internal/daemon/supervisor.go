// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/consume"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// eventQueue is how many events may wait before the watcher does. When the
// kernel's buffer overruns behind it, the watcher asks to read everything.
const eventQueue = 64

// supervisor owns the uplinks and what is published. The daemon's loop and the
// watcher change them; mu keeps these apart, and lets others look.
type supervisor struct {
	log       *slog.Logger
	store     *rules.Store
	routes    *hostwatch.Routes
	judge     *behind.Judge
	events    chan hostwatch.Event
	sightings chan sighting
	wake      chan struct{} // the loop has to look when the next duty is
	done      chan struct{} // closed when the loop has ended
	prober    *prober
	stations  func(bridge int) map[[6]byte]bool
	observe   func(time.Duration) // how long an event took to be published
	probes    atomic.Bool         // a rule asks for probes

	mu        sync.Mutex
	config    *config.Config
	cluster   *cluster // nil without Kubernetes
	uplinks   []*uplink
	lastFault atomic.Value     // a string
	consumed  []consume.Uplink // what the table is to consume
	table     *consume.Table   // nil while nothing is consumed
	armed     time.Time        // when the loop looks at duties next
}

func newSupervisor(log *slog.Logger, store *rules.Store, routes *hostwatch.Routes) *supervisor {
	s := &supervisor{
		log: log, store: store, routes: routes, judge: behind.New(routes, behind.DefaultPolicy()),
		events:    make(chan hostwatch.Event, eventQueue),
		sightings: make(chan sighting, eventQueue),
		wake:      make(chan struct{}, 1),
		done:      make(chan struct{}),
	}
	s.prober = newProber(s)
	store.ResolveDevices(routes.Index)
	store.Replace(rules.Kernel, s.judge.All())
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

// apply puts a configuration in force. An uplink that stays keeps its socket.
// After an error the old configuration holds.
func (s *supervisor) apply(c *config.Config) error {
	if _, err := rules.Compile(c.Rules); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = c
	return s.settle(true)
}

// settle brings uplinks, entries, rules and guards into line with the
// configuration and the kernel. anew is for a new configuration.
func (s *supervisor) settle(anew bool) error {
	uplinks := s.discoverUplinks()
	if anew || !slices.EqualFunc(uplinks, s.uplinks, func(c rules.Uplink, u *uplink) bool { return c.Interface == u.config.Interface }) {
		s.setUplinks(uplinks)
		anew = true
	}
	var indices []int
	for _, u := range s.uplinks {
		if u.link.Index != 0 {
			indices = append(indices, u.link.Index)
		}
	}
	if s.judge.SetUplinks(indices) {
		s.store.Replace(rules.Kernel, s.judge.All())
	}
	var err error
	if rs := s.effectiveRules(); anew || !slices.EqualFunc(rs, s.store.Load().Rules(), sameRule) {
		s.probes.Store(slices.ContainsFunc(rs, func(r rules.Rule) bool { return r.Method == rules.Probe }))
		err = s.store.SetRules(rs)
		for _, u := range s.uplinks {
			u.warnUnjoined()
		}
	}
	for _, u := range s.uplinks {
		u.guard(s.routes.HopsOf(u.link.Index), s.store)
	}
	s.consumeUnicast()
	if s.cluster != nil {
		now := time.Now()
		s.cluster.setSelf(now)
		s.cluster.publish(now)
	}
	s.rearm()
	return err
}

// setUplinks puts uplinks in force, and reads their links.
func (s *supervisor) setUplinks(configs []rules.Uplink) {
	kept := make(map[string]*uplink, len(s.uplinks))
	for _, u := range s.uplinks {
		kept[u.config.Interface] = u
	}
	s.uplinks = nil
	for _, c := range configs {
		u, ok := kept[c.Interface]
		if !ok {
			u = newUplink(s.log, c, s)
		}
		delete(kept, c.Interface)
		u.configure(c)
		s.uplinks = append(s.uplinks, u)
	}
	for _, u := range kept {
		u.report(u.close())
		s.store.SetGuards(u.config.Interface, nil)
		u.log.Info("uplink removed")
	}
	for _, u := range s.uplinks {
		u.refresh()
	}
}

// follow hands a new table to the uplinks. It runs inside of the store.
func (s *supervisor) follow(c rules.Change) {
	for _, u := range s.uplinks {
		name := u.config.Interface
		u.follow(c.Before.View(name), c.After.View(name), c.Deltas(name))
	}
}

// handle reads the uplinks again that an event may be about.
func (s *supervisor) handle(e hostwatch.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.What == hostwatch.WhatStations {
		for _, u := range s.uplinks {
			if u.link.Index == e.Index {
				u.restation()
			}
		}
		return
	}
	for _, u := range s.uplinks {
		if u.concerns(e) {
			u.refresh()
		}
	}
	s.report(s.settle(false))
}

// routesChanged takes over what changed routes mean.
func (s *supervisor) routesChanged(prefixes []netip.Prefix, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all {
		s.store.Replace(rules.Kernel, s.judge.All())
		go debug.FreeOSMemory() // the reading took as much again
	} else {
		changes := make([]rules.EntryChange, len(prefixes))
		for i, p := range prefixes {
			e, ok := s.judge.Entry(p)
			changes[i] = rules.EntryChange{Entry: e, Gone: !ok}
			changes[i].Prefix, changes[i].Since = p, time.Now()
			if ok && e.Behind && p.IsSingleIP() { // later evidence than any claim
				s.disclaim(p.Addr())
			}
		}
		s.store.Update(rules.Kernel, changes)
	}
	s.report(s.settle(false))
}

// fault says once, until something else does, what goes wrong again and again.
func (s *supervisor) fault(task string, err error) {
	if err == nil || s.lastFault.Swap(err.Error()) == err.Error() {
		return
	}
	s.log.Warn("trouble", "task", task, "err", err)
}

// report says what cannot be but by a fault of this program.
func (s *supervisor) report(err error) {
	if err != nil {
		s.log.Error("discovered rules are not in force", "err", err)
	}
}

// logLoaded says what is in force after a load.
func (s *supervisor) logLoaded(origin string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, u := range s.uplinks {
		names = append(names, u.config.Interface)
	}
	s.log.Info("configuration loaded", "config", origin, "uplinks", names, "rules", len(s.store.Load().Rules()))
	for _, u := range s.uplinks {
		if at := u.running(s.store.Load().Rules()); at != nil {
			at.host = hostwatch.ReadUplink(at.link)
			u.warn(at.inspect())
		}
	}
	if len(names) == 0 {
		s.log.Warn("no interface has an IPv6 default route: waiting for one")
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
	errs := []error{s.stopConsuming()}
	for _, u := range s.uplinks {
		errs = append(errs, u.close())
	}
	if err := errors.Join(errs...); err != nil {
		s.log.Warn("could not release everything", "err", err)
	}
}
