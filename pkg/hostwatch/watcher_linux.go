// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
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

// Watcher is a subscription to changes of links, IPv6 addresses and IPv6
// settings. Events wait in the kernel from the moment of Watch on.
type Watcher struct {
	socket *nl.NetlinkSocket
	close  sync.Once
}

// Watch subscribes. It needs no privilege.
func Watch() (*Watcher, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_NETCONF)
	if err != nil {
		return nil, fmt.Errorf("subscribe to link changes: %w", err)
	}
	return &Watcher{socket: s}, nil
}

// Run hands events to f, one at a time, until ctx ends. It returns nil then,
// and otherwise the error that the socket failed with.
func (w *Watcher) Run(ctx context.Context, f func(Event)) error {
	defer w.Close()
	defer context.AfterFunc(ctx, w.Close)()
	for {
		messages, from, err := w.socket.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // overrun: everything may have changed
			f(Event{})
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("receive link changes: %w", err)
		case from.Pid != nl.PidKernel: // any local process may send here
			continue
		}
		for i := range messages {
			hdr := unix.NlMsghdr(messages[i].Header)
			if e, ok := parseEvent(&hdr, messages[i].Data); ok {
				f(e)
			}
		}
	}
}

// Close ends the subscription.
func (w *Watcher) Close() { w.close.Do(w.socket.Close) }

// parseEvent reads one rtnetlink message, and returns false for one that says
// nothing about an interface.
func parseEvent(hdr *unix.NlMsghdr, data []byte) (Event, bool) {
	switch hdr.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		link, err := netlink.LinkDeserialize(hdr, data)
		if err != nil {
			return Event{}, true // it says something, so read everything
		}
		return Event{Index: link.Attrs().Index, Name: link.Attrs().Name}, true
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
	attrs, err := nl.ParseRouteAttr(data[header:])
	if err != nil {
		return 0
	}
	for _, a := range attrs {
		if a.Attr.Type == attrIndex && len(a.Value) >= 4 {
			// NETCONFA_IFINDEX_ALL and _DEFAULT are negative.
			return int(max(0, int32(binary.NativeEndian.Uint32(a.Value)))) //nolint:gosec // the kernel's int
		}
	}
	return 0
}
