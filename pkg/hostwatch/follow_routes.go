// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"context"
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeWatch follows links, addresses, settings, routes and policy rules, from
// one socket, so that a device is known before the first route through it.
type routeWatch struct {
	kernel kernel
	reader *reader
	socket subscription
	// unsettled is true when the first reading was not good.
	unsettled bool
}

// open subscribes. Events wait in the kernel from now on.
func (w *routeWatch) open() (err error) {
	w.socket, err = w.kernel.subscribe(unix.RTNLGRP_LINK, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_NETCONF,
		unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_NEXTHOP)
	return err
}

// read makes the first reading, while events wait in the socket.
func (w *routeWatch) read() error {
	var last uint32
	fresh, settled, err := readRoutes(w.kernel, func() bool {
		now := w.socket.queued()
		changed := now != last
		last = now
		return changed
	})
	if err != nil {
		return err
	}
	w.unsettled = !settled
	w.reader = newReader(w.kernel, fresh)
	return nil
}

// run follows events until ctx ends, and closes the socket then. What fails is
// tried again.
func (w *routeWatch) run(ctx context.Context, h Handler) {
	defer w.reader.done.Wait()
	retry := backoff{first: retryFirst, most: retryMost}
	if w.unsettled {
		w.reader.request(ctx, h, false)
	}
	for ctx.Err() == nil {
		if w.socket == nil {
			if err := w.open(); err != nil {
				h.failed(err)
				retry.pause(ctx)
				continue
			}
			retry.reset()
			w.lost(ctx, h)
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

// lost reads everything after events were lost.
func (w *routeWatch) lost(ctx context.Context, h Handler) {
	h.Link(Event{})
	w.reader.request(ctx, h, true)
}

// follow follows events until ctx ends or the socket fails.
func (w *routeWatch) follow(ctx context.Context, h Handler) error {
	for {
		b := batch{reader: w.reader}
		err := w.socket.receive(b.take)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errOverrun): // everything may have changed
			// What is queued is older than the reading that comes, and some of
			// it was undone by what was lost.
			if err := w.socket.drain(); err != nil {
				return err
			}
			w.lost(ctx, h)
		case err != nil:
			return err
		}
		b.finish(ctx, h)
	}
}

// batch is what some events came to.
type batch struct {
	reader  *reader
	links   events
	changed []netip.Prefix
	all     bool // any entry may have changed
	unsure  bool // the copy of the routes may be wrong
}

// take follows one event.
func (b *batch) take(hdr *unix.NlMsghdr, data []byte) {
	switch hdr.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if msg, ok := parseRoute(data); ok {
			e := logged{route: &msg, flags: hdr.Flags, gone: hdr.Type == unix.RTM_DELROUTE}
			b.reader.apply(e, func(r *Routes) {
				changed, unsure := r.Apply(msg, e.flags, e.gone)
				b.changed, b.unsure = append(b.changed, changed...), b.unsure || unsure
			})
		}
	case unix.RTM_NEWRULE, unix.RTM_DELRULE, unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		b.unsure = true
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		b.link(hdr, data)
	default:
		if e, ok := parseEvent(hdr, data); ok {
			b.links.add(e)
		}
	}
}

func (b *batch) link(hdr *unix.NlMsghdr, data []byte) {
	link, err := netlink.LinkDeserialize(hdr, data)
	if err != nil { // it says something, so read everything
		b.unsure = true
		b.links.add(Event{})
		return
	}
	a := link.Attrs()
	event := Event{Index: a.Index, Name: a.Name, What: WhatLink}
	if len(data) == 0 || data[0] != unix.AF_UNSPEC || a.Name == "" {
		b.links.add(event)
		return // of a bridge, or of a radio: the message has not all facts
	}
	e := logged{device: newDevice(link), gone: hdr.Type == unix.RTM_DELLINK}
	if e.gone {
		event.What |= WhatGone
	}
	b.links.add(event)
	b.reader.apply(e, func(r *Routes) {
		changed, unsure := r.SetDevice(e.device, e.gone)
		b.all, b.unsure = b.all || changed, b.unsure || unsure
	})
}

// finish passes on what the events mean.
func (b *batch) finish(ctx context.Context, h Handler) {
	for _, e := range b.links.list {
		h.Link(e)
	}
	if b.all || len(b.changed) > 0 {
		h.Routes(b.changed, b.all)
	}
	if b.unsure {
		b.reader.request(ctx, h, false)
	}
}
