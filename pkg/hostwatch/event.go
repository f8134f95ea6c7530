// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// What is a set of things that may have changed about an interface.
type What uint8

// What may have changed.
const (
	// WhatLink is the interface itself: its name, flags, MAC address or master.
	WhatLink What = 1 << iota
	// WhatGone: there is no such interface any more.
	WhatGone
	// WhatAddresses are its IPv6 addresses.
	WhatAddresses
	// WhatSettings are its IPv6 settings, such as forwarding.
	WhatSettings
	// WhatStations are the stations behind virtual ports of a bridge, see
	// [Watcher.Stations].
	WhatStations
)

// Event says that something about an interface changed. The zero Event says that
// anything may have changed about any of them.
type Event struct {
	// Index of the interface; 0 for any of them, after events were lost or
	// when a setting of all interfaces changed.
	Index int
	// Name of the interface where the event carries it.
	Name string
	// What changed. 0 means that anything may have.
	What What
}

// Handler hears of changes. Its functions are called from goroutines of the
// Watcher, which wait for them: they should do no more than to hand over what
// they got. Calls of Link and of Routes may come from two goroutines at once.
type Handler struct {
	// Link hears of interfaces. Of what comes in one go, it hears once for each
	// interface and name.
	Link func(Event)
	// Routes hears of prefixes for which the kernel may decide otherwise. With
	// all set it is any of them.
	Routes func(prefixes []netip.Prefix, all bool)
	// Neighbor hears of addresses that the kernel resolved.
	Neighbor func(Neighbor)
	// Failed hears of what did not work and is tried again. It may be nil.
	Failed func(error)
}

func (h Handler) failed(err error) {
	if h.Failed != nil && err != nil {
		h.Failed(err)
	}
}

// events merges Events by interface and name. The order of the first ones stays.
type events struct{ list []Event }

// maxEvents bounds how many interfaces are told apart in one go.
const maxEvents = 256

// add takes an Event in.
func (s *events) add(e Event) {
	for i := range s.list {
		if old := &s.list[i]; *old == (Event{}) || old.Index == e.Index && (old.Name == e.Name || old.Name == "" || e.Name == "") {
			if *old != (Event{}) {
				old.merge(e)
			}
			return
		}
	}
	if len(s.list) == maxEvents || e == (Event{}) {
		s.list = []Event{{}} // anything
		return
	}
	s.list = append(s.list, e)
}

func (e *Event) merge(o Event) {
	if e.Name == "" {
		e.Name = o.Name
	}
	if e.What == 0 || o.What == 0 {
		e.What = 0
		return
	}
	e.What |= o.What
}

// parseEvent reads an rtnetlink message about an interface's addresses and
// settings, and returns false for any other.
func parseEvent(hdr *unix.NlMsghdr, data []byte) (Event, bool) {
	switch hdr.Type {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if len(data) < unix.SizeofIfAddrmsg {
			return Event{}, true
		}
		return Event{Index: int(binary.NativeEndian.Uint32(data[4:8])), What: WhatAddresses}, true // ifa_index
	case unix.RTM_NEWNETCONF, unix.RTM_DELNETCONF:
		if index := netconfIndex(data); index > 0 {
			return Event{Index: index, What: WhatSettings}, true
		}
		return Event{}, true
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
