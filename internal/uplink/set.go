// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// stopWait is how long uplinks get to give their sockets back when the daemon
// ends. The kernel takes back what a stuck one keeps.
const stopWait = 2 * time.Second

// Set is the uplinks that are configured. It implements [task.Task], and runs
// them. Its methods may be called from any goroutine; those that tell the uplinks
// something never wait for one.
type Set struct {
	options Options
	members atomic.Pointer[[]*Uplink]

	mu       sync.Mutex
	presence presence
	settled  bool                       // see Settle
	ctx      context.Context            // of Run; nil before
	cancels  map[*Uplink]func()         // of those that run
	ended    map[string]<-chan struct{} // by name: closed when the last one has ended
}

// NewSet returns a set without uplinks, which follows the store.
func NewSet(o Options) *Set {
	s := &Set{options: o, cancels: make(map[*Uplink]func()), ended: make(map[string]<-chan struct{})}
	s.members.Store(new([]*Uplink))
	o.Store.Follow(func(c rules.Change) {
		for _, u := range s.All() {
			u.tableChanged(c)
		}
	})
	return s
}

// String implements [task.Task].
func (s *Set) String() string { return "uplinks" }

// Ready implements [task.Task]: an uplink answers.
func (s *Set) Ready() error {
	var why []string
	for _, u := range s.All() {
		err := u.Ready()
		if err == nil {
			return nil
		}
		why = append(why, fmt.Sprintf("%s: %v", u.name, err))
	}
	if len(why) == 0 {
		return errors.New("there is no uplink")
	}
	return errors.New(strings.Join(why, "; "))
}

// All returns the uplinks in the order of the configuration. Do not change it.
func (s *Set) All() []*Uplink { return *s.members.Load() }

// Facts returns a snapshot of each uplink.
func (s *Set) Facts() []*Facts {
	all := s.All()
	facts := make([]*Facts, len(all))
	for i, u := range all {
		facts[i] = u.Facts()
	}
	return facts
}

// Configure makes configs the settings of all uplinks. One that stays keeps its
// socket.
func (s *Set) Configure(configs []rules.Uplink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make(map[string]bool, len(configs))
	for _, c := range configs {
		names[c.Interface] = true
	}
	old := s.All()
	next := make([]*Uplink, len(configs))
	for i, c := range configs {
		at := slices.IndexFunc(old, func(u *Uplink) bool { return u.name == c.Interface })
		if at >= 0 {
			next[i] = old[at]
		} else {
			next[i] = newUplink(c.Interface, s.options)
			next[i].SetPresence(s.presence.own, s.presence.witnessed)
			if s.settled {
				next[i].box.post(func(m *mail) { m.settled = true })
			}
		}
	}
	s.members.Store(&next) // from now on they hear of tables
	for i, u := range next {
		u.box.post(func(m *mail) { m.settings = &settings{configs[i], names} })
		s.start(u)
	}
	for _, u := range old {
		if !names[u.name] {
			u.log.Info("uplink removed")
			u.removed.Store(true)
			if cancel := s.cancels[u]; cancel != nil {
				cancel()
			}
			delete(s.cancels, u)
		}
	}
}

// start runs an uplink, if it does not yet, and once the last one of its name has
// given its socket back.
func (s *Set) start(u *Uplink) {
	if s.ctx == nil || s.cancels[u] != nil {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.cancels[u] = cancel
	before, done := s.ended[u.name], make(chan struct{})
	s.ended[u.name] = done
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		_ = u.Run(ctx) // which has no other error than its end
	}()
}

// Run implements [task.Task].
func (s *Set) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.ctx = inner
	for _, u := range s.All() {
		s.start(u)
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	ended := make([]<-chan struct{}, 0, len(s.ended))
	for _, done := range s.ended {
		ended = append(ended, done)
	}
	s.mu.Unlock()
	late := time.After(stopWait)
	for _, done := range ended {
		select {
		case <-done:
		case <-late:
			s.options.Log.Warn("an uplink does not end: its socket is left to the kernel")
			return nil
		}
	}
	return nil
}

// LinkChanged passes an event of the kernel on to the uplinks that it may be
// about.
func (s *Set) LinkChanged(e hostwatch.Event) {
	for _, u := range s.All() {
		switch {
		case !u.concerns(e):
		case e.What == hostwatch.WhatStations:
			u.StationsChanged()
		default:
			u.LinkChanged()
		}
	}
}

// SetPresence sets the address at which other nodes see that this one is alive, an
// invalid one for none, and those at which they see which other nodes it hears.
func (s *Set) SetPresence(own netip.Addr, witnessed []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.presence.own == own && slices.Equal(s.presence.witnessed, witnessed) {
		return
	}
	s.presence = presence{own, witnessed}
	for _, u := range s.All() {
		u.SetPresence(own, witnessed)
	}
}

// Ask asks a station for a target on every uplink.
func (s *Set) Ask(target netip.Addr, station [6]byte) {
	for _, u := range s.All() {
		u.Ask(target, station)
	}
}

// Appeared tells every uplink that addresses have just appeared behind us.
func (s *Set) Appeared(addresses []netip.Addr) {
	if len(addresses) == 0 {
		return
	}
	for _, u := range s.All() {
		u.Appeared(addresses)
	}
}

func macString(mac [6]byte) string { return net.HardwareAddr(mac[:]).String() }
