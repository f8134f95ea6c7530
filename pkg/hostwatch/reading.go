// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errUnsettled says that routes changed during each of many dumps.
var errUnsettled = errors.New("routes changed during each reading: reading again later")

// readRoutes reads devices, policy rules and routes. When routes change during a
// dump, the kernel's walk may leave some out that did not; so it dumps again, and
// what is deleted between two dumps goes by its event. changes tells whether
// events have come since the last time it was asked. settled is false when they
// came during each of dumpTries dumps.
func readRoutes(k kernel, changes func() bool) (r *Routes, settled bool, err error) {
	r = NewRoutes()
	devices, err := k.devices()
	if err != nil {
		return nil, false, err
	}
	for _, d := range devices {
		r.SetDevice(d, false)
	}
	messages, err := k.policyRules()
	if err != nil {
		return nil, false, err
	}
	r.setPolicy(parsePolicies(messages))
	r.silent = k.skipsNotify()
	for range dumpTries {
		r.hostRoutes = nil
		err := k.routes(func(msg Route) {
			r.Apply(msg, 0, false)
			if msg.Protocol == HostRouteProtocol && msg.Prefix.IsSingleIP() {
				r.hostRoutes = append(r.hostRoutes, HostRoute{Address: msg.Prefix.Addr(), Device: int(msg.Paths[0].Index), Table: msg.Table})
			}
		})
		if err != nil {
			return nil, false, err
		}
		if !changes() {
			return r, true, nil
		}
	}
	return r, false, nil
}

// logged is an event that came during a reading.
type logged struct {
	route  *Route // or else a device
	flags  uint16
	device Device
	gone   bool
}

// maxLogged bounds the events that are kept for the end of a reading.
const maxLogged = 1 << 18

// reader reads the routes anew beside the events, which go on to be followed: they
// change the copy that holds, and again the new one before it takes its place.
type reader struct {
	kernel kernel
	routes *Routes

	mu      sync.Mutex
	running bool     // a goroutine reads, or waits to
	dumping bool     // events are logged
	log     []logged // since the dump began
	stale   bool     // the log has a gap
	pending bool     // another reading was asked for
	wake    chan struct{}
	done    sync.WaitGroup
}

func newReader(k kernel, r *Routes) *reader {
	return &reader{kernel: k, routes: r, wake: make(chan struct{}, 1)}
}

// apply makes a change to the copy, and keeps it for a reading that is under way.
func (r *reader) apply(e logged, change func(*Routes)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r.routes)
	switch {
	case !r.dumping:
	case len(r.log) == maxLogged:
		r.stale = true
	default:
		r.log = append(r.log, e)
	}
}

// request asks for a reading, and returns at once. lost is true when events were
// lost: a reading that is under way is worthless then.
func (r *reader) request(ctx context.Context, h Handler, lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale = r.stale || lost
	if r.running {
		r.pending = true
		select {
		case r.wake <- struct{}{}:
		default: // it is awake, or will be
		}
		return
	}
	r.running = true
	r.done.Go(func() { r.run(ctx, h) })
}

// The bounds between readings. The first one comes at once. A request must not wait
// long for the next; that routes change all the time must not cost much.
const (
	readFirst    = 50 * time.Millisecond
	readMost     = time.Second
	settledFirst = 250 * time.Millisecond
	settledMost  = time.Minute
)

// run reads until nothing asks for another reading.
func (r *reader) run(ctx context.Context, h Handler) {
	spacing := backoff{first: readFirst, most: readMost}
	settling := backoff{first: settledFirst, most: settledMost}
	failing := backoff{first: retryFirst, most: retryMost}
	for ctx.Err() == nil {
		next, err := r.once(h)
		switch {
		case err != nil:
			h.failed(fmt.Errorf("read routes anew: %w", err))
			failing.pause(ctx)
		case next == readAgain:
			spacing.pause(ctx)
		case next == readLater:
			settling.pauseUntil(ctx, r.wake)
		default:
			return
		}
	}
}

// next says what has to follow a reading.
type next uint8

const (
	readNever next = iota // nothing
	readAgain             // another one soon
	readLater             // another one, when routes change less often
)

// once reads, and puts what it read in the copy's place.
func (r *reader) once(h Handler) (next, error) {
	r.mu.Lock()
	r.dumping, r.log, r.stale, r.pending = true, r.log[:0], false, false
	r.mu.Unlock()
	seen := 0
	fresh, settled, err := readRoutes(r.kernel, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		changed := len(r.log) != seen
		seen = len(r.log)
		return changed
	})
	r.mu.Lock()
	r.dumping = false
	if err != nil || r.stale {
		r.mu.Unlock()
		return readAgain, err
	}
	for i := range r.log {
		if r.log[i].replay(fresh) {
			r.pending = true
		}
	}
	gone := r.routes.replace(fresh)
	after := readNever
	switch {
	case r.pending:
		after = readAgain
	case !settled:
		after = readLater
	default:
		r.running, r.log = false, nil
	}
	r.mu.Unlock()
	if !settled {
		h.failed(errUnsettled)
	}
	for _, d := range gone {
		h.Link(Event{Index: int(d.Index), Name: d.Name, What: WhatGone})
	}
	h.Routes(nil, true)
	return after, nil
}

// replay makes the change to a copy, and reports whether that is unsure.
func (l logged) replay(r *Routes) (unsure bool) {
	if l.route != nil {
		_, unsure = r.Apply(*l.route, l.flags, l.gone)
	} else {
		_, unsure = r.SetDevice(l.device, l.gone)
	}
	return unsure
}
