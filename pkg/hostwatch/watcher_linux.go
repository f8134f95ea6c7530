// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Event says that something about an interface changed.
type Event struct {
	// Index of the interface; 0 for any of them, after events were lost or
	// when a setting of all interfaces changed.
	Index int
	// Name of the interface where the event carries it.
	Name string
}

// Handler hears of changes, one at a time, in the order in which they came.
type Handler struct {
	// Link hears of interfaces.
	Link func(Event)
	// Routes hears of prefixes whose entries may have changed. With all set it
	// is any of them.
	Routes func(prefixes []netip.Prefix, all bool)
	// Neighbor hears of addresses that the kernel resolved.
	Neighbor func(Neighbor)
}

// Watcher is a subscription to changes of links, IPv6 addresses and settings,
// routes, policy rules and neighbors. Events wait in the kernel from the moment
// of Watch on.
type Watcher struct {
	// Routes is what the kernel's routes say.
	Routes *Routes

	socket *socket
	close  sync.Once
}

// Watch subscribes, and reads the routes. It needs no privilege.
func Watch() (*Watcher, error) {
	s, err := subscribe(unix.RTNLGRP_LINK, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_NETCONF,
		unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_NEIGH, unix.RTNLGRP_NEXTHOP)
	if err != nil {
		return nil, fmt.Errorf("subscribe to changes of the network: %w", err)
	}
	r, err := readRoutes(s.news())
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Watcher{Routes: r, socket: s}, nil
}

// Run hands changes to h until ctx ends. It returns nil then, and otherwise the
// error that the socket failed with.
func (w *Watcher) Run(ctx context.Context, h Handler) error {
	defer w.Close()
	defer context.AfterFunc(ctx, w.Close)()
	for {
		b := batch{routes: w.Routes, handler: h, socket: w.socket}
		err := w.socket.receive(b.take)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errOverrun): // everything may have changed
			// What is queued is older than the reading that comes, and some of
			// it was undone by what was lost.
			if err := w.socket.drain(); err != nil && ctx.Err() == nil {
				return err
			}
			b.reread = true
			h.Link(Event{})
		case err != nil:
			return fmt.Errorf("receive changes of the network: %w", err)
		}
		if err := b.finish(); err != nil {
			return err
		}
	}
}

// Close ends the subscription.
func (w *Watcher) Close() { w.close.Do(func() { _ = w.socket.Close() }) }

// batch is what some events came to.
type batch struct {
	routes  *Routes
	handler Handler
	socket  *socket
	changed []netip.Prefix
	all     bool // any entry may have changed
	reread  bool // the copy of the routes may be wrong
}

// take follows one event.
func (b *batch) take(hdr *unix.NlMsghdr, data []byte) {
	switch hdr.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if msg, ok := parseRoute(data); ok && !b.reread {
			changed, unsure := b.routes.Apply(msg, hdr.Flags, hdr.Type == unix.RTM_DELROUTE)
			b.changed = append(b.changed, changed...)
			b.reread = b.reread || unsure
		}
	case unix.RTM_NEWRULE, unix.RTM_DELRULE, unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		b.reread = true
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		b.neighbor(hdr, data)
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		b.link(hdr, data)
	default:
		if e, ok := parseEvent(hdr, data); ok {
			b.handler.Link(e)
		}
	}
}

func (b *batch) link(hdr *unix.NlMsghdr, data []byte) {
	link, err := netlink.LinkDeserialize(hdr, data)
	if err != nil { // it says something, so read everything
		b.reread = true
		b.handler.Link(Event{})
		return
	}
	a := link.Attrs()
	b.handler.Link(Event{Index: a.Index, Name: a.Name})
	if len(data) == 0 || data[0] != unix.AF_UNSPEC || a.Name == "" {
		return // of a bridge, or of a radio: the message has not all facts
	}
	changed, flipped := b.routes.SetDevice(newDevice(link), hdr.Type == unix.RTM_DELLINK)
	b.all = b.all || changed && b.routes.uses(int32(a.Index)) //nolint:gosec // an index
	b.reread = b.reread || flipped && b.routes.losesSilently()
}

// finish passes on what the events mean for the routes.
func (b *batch) finish() error {
	if b.reread {
		fresh, err := readRoutes(b.socket.news())
		if err != nil {
			return err
		}
		b.routes.replace(fresh)
		b.all = true
	}
	if b.all || len(b.changed) > 0 {
		b.handler.Routes(b.changed, b.all)
	}
	return nil
}

// parseEvent reads an rtnetlink message about an interface's addresses and
// settings, and returns false for any other.
func parseEvent(hdr *unix.NlMsghdr, data []byte) (Event, bool) {
	switch hdr.Type {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if len(data) < unix.SizeofIfAddrmsg {
			return Event{}, true
		}
		return Event{Index: int(binary.NativeEndian.Uint32(data[4:8]))}, true // ifa_index
	case unix.RTM_NEWNETCONF, unix.RTM_DELNETCONF:
		return Event{Index: netconfIndex(data)}, true
	}
	return Event{}, false
}

// netconfIndex returns the interface of a settings message, 0 for all of them.
func netconfIndex(data []byte) int {
	const (
		header    = 4 // struct netconfmsg, padded
		attrIndex = 1 // NETCONFA_IFINDEX of linux/netconf.h
	)
	if len(data) < header {
		return 0
	}
	for kind, v := range attributes(data[header:]) {
		if kind == attrIndex {
			// NETCONFA_IFINDEX_ALL and _DEFAULT are negative.
			return int(max(0, int32(number(v)))) //nolint:gosec // the kernel's int
		}
	}
	return 0
}
