// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// neighborWatch follows neighbors and forwarding tables of bridges, from a socket
// of its own: whoever makes up addresses or MAC addresses at a high rate delays
// nothing but these. The socket also hears of links, so that a port is known
// before the first station behind it.
type neighborWatch struct {
	kernel  kernel
	bridges *bridges
	socket  subscription

	mu    sync.Mutex
	paced time.Time   // when all reports of stations so far were due at stationsEvery
	timer *time.Timer // of the next one, nil for none
}

// Reports of stations come at once, as a container's first frame may be a question
// about its own address, unless there are many: after stationsBurst of them there
// are no more than one each stationsEvery.
const (
	stationsEvery = 100 * time.Millisecond
	stationsBurst = 20
)

// read reads devices and forwarding tables anew.
func (w *neighborWatch) read() error {
	devices, err := w.kernel.devices()
	if err != nil {
		return err
	}
	fresh := newBridges()
	for _, d := range devices {
		fresh.devices[d.Index] = d
	}
	err = w.kernel.neighbors(unix.AF_BRIDGE, func(b []byte) {
		if bridge, port, s, ok := parseStation(b); ok {
			fresh.put(bridge, port, s)
		}
	})
	if err != nil {
		return err
	}
	w.bridges.replace(fresh)
	return nil
}

// open subscribes, and reads what is there.
func (w *neighborWatch) open() error {
	s, err := w.kernel.subscribe(unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH)
	if err != nil {
		return err
	}
	if err := w.read(); err != nil {
		return errors.Join(err, s.Close())
	}
	w.socket = s
	return nil
}

// run follows events until ctx ends, and closes the socket then. What fails is
// tried again.
func (w *neighborWatch) run(ctx context.Context, h Handler) {
	defer w.stopTimer()
	retry := backoff{first: retryFirst, most: retryMost}
	for ctx.Err() == nil {
		if w.socket == nil {
			if err := w.open(); err != nil {
				h.failed(err)
				retry.pause(ctx)
				continue
			}
			retry.reset()
		}
		socket := w.socket
		unhook := context.AfterFunc(ctx, func() { _ = socket.Close() })
		err := w.follow(ctx, h)
		unhook()
		_ = socket.Close()
		w.socket = nil
		if ctx.Err() == nil {
			h.failed(err)
			retry.pause(ctx)
		}
	}
}

// The bounds for readings after lost events. The flood that they were lost in may
// go on, and a reading of a large forwarding table takes long.
const (
	rereadFirst = time.Second
	rereadMost  = 30 * time.Second
)

// follow follows events until ctx ends or the socket fails.
func (w *neighborWatch) follow(ctx context.Context, h Handler) error {
	var last, due time.Time // of readings after lost events; due is zero for none
	spacing := backoff{first: rereadFirst, most: rereadMost}
	w.report(h) // what changed before the socket was opened again
	for {
		err := w.socket.receive(func(hdr *unix.NlMsghdr, data []byte) { w.take(h, hdr, data) })
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errOverrun) && due.IsZero():
			if now.Sub(last) > 2*rereadMost {
				spacing.reset()
				due = now
			} else {
				due = last.Add(spacing.next())
			}
			if err := w.socket.wake(due); err != nil {
				return err
			}
		case err != nil && !errors.Is(err, errOverrun) && !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		if !due.IsZero() && !now.Before(due) {
			// What is queued is older than the reading that comes.
			if err := errors.Join(w.socket.wake(time.Time{}), w.socket.drain(), w.read()); err != nil {
				return err
			}
			last, due = time.Now(), time.Time{}
		}
		w.report(h)
	}
}

// take follows one event.
func (w *neighborWatch) take(h Handler, hdr *unix.NlMsghdr, data []byte) {
	gone := false
	switch hdr.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(data) == 0 || data[0] != unix.AF_UNSPEC {
			return
		}
		if link, err := netlink.LinkDeserialize(hdr, data); err == nil {
			w.bridges.setDevice(newDevice(link), hdr.Type == unix.RTM_DELLINK)
		}
		return
	case unix.RTM_DELNEIGH:
		gone = true
	case unix.RTM_NEWNEIGH:
	default:
		return
	}
	if n, ok := parseNeighbor(data, gone); ok {
		h.Neighbor(n)
		return
	}
	if bridge, port, s, ok := parseStation(data); ok {
		if gone {
			w.bridges.forget(bridge, port, s)
		} else {
			w.bridges.learn(bridge, port, s)
		}
	}
}

// report tells of changed stations, at once or when the next report is due.
func (w *neighborWatch) report(h Handler) {
	w.mu.Lock()
	if w.timer != nil || !w.bridges.isChanged() {
		w.mu.Unlock()
		return
	}
	now := time.Now()
	if w.paced.Before(now) {
		w.paced = now
	}
	if wait := w.paced.Sub(now) - stationsBurst*stationsEvery; wait > 0 {
		w.timer = time.AfterFunc(wait, func() {
			w.mu.Lock()
			w.timer = nil
			w.mu.Unlock()
			w.report(h)
		})
		w.mu.Unlock()
		return
	}
	w.paced = w.paced.Add(stationsEvery)
	list := w.bridges.take()
	w.mu.Unlock()
	for _, bridge := range list {
		h.Link(Event{Index: int(bridge), What: WhatStations})
	}
}

// stopTimer drops the report that is due.
func (w *neighborWatch) stopTimer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}
