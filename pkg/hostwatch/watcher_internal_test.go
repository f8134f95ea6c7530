// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// attr is one rtnetlink attribute.
func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, (4-len(value)%4)%4)...)
}

func octets(v int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(v)) }

func TestParseEvent(t *testing.T) {
	t.Parallel()
	link := append(make([]byte, 4), octets(7)...) // ifinfomsg: family, type, index
	link = append(link, make([]byte, 8)...)
	link = append(link, attr(unix.IFLA_IFNAME, []byte("eth0\x00"))...)
	addr := append(make([]byte, 4), octets(9)...) // ifaddrmsg: family to scope, index
	settings := func(index int32) []byte { return append(make([]byte, 4), attr(1, octets(index))...) }
	tests := []struct {
		name string
		kind uint16
		data []byte
		want Event
		ok   bool
	}{
		{"new address", unix.RTM_NEWADDR, addr, Event{Index: 9, What: WhatAddresses}, true},
		{"short address", unix.RTM_DELADDR, addr[:5], Event{}, true},
		{"setting of an interface", unix.RTM_NEWNETCONF, settings(3), Event{Index: 3, What: WhatSettings}, true},
		{"setting of all interfaces", unix.RTM_NEWNETCONF, settings(-1), Event{}, true},
		{"short setting", unix.RTM_NEWNETCONF, nil, Event{}, true},
		{"link", unix.RTM_NEWLINK, link, Event{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := parseEvent(&unix.NlMsghdr{Type: tt.kind}, tt.data)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %+v, %t, want %+v, %t", got, ok, tt.want, tt.ok)
			}
		})
	}
}

// TestRunEnds ends a watcher that waits.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	w, err := Watch()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- w.Run(ctx, Handler{Link: func(Event) {}, Routes: func([]netip.Prefix, bool) {}, Neighbor: func(Neighbor) {}})
	}()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestEvents merges what comes in one go by interface.
func TestEvents(t *testing.T) {
	t.Parallel()
	many := make([]Event, 1000)
	for i := range many {
		many[i] = Event{Index: i + 1, What: WhatLink}
	}
	tests := []struct {
		name string
		in   []Event
		want []Event
	}{
		{"none", nil, nil},
		{"of one interface", []Event{{Index: 1, What: WhatAddresses}, {Index: 1, Name: "a", What: WhatLink}, {Index: 1, What: WhatAddresses}}, []Event{{Index: 1, Name: "a", What: WhatLink | WhatAddresses}}},
		{"of two", []Event{{Index: 1, What: WhatLink}, {Index: 2, What: WhatGone}, {Index: 1, What: WhatGone}}, []Event{{Index: 1, What: WhatLink | WhatGone}, {Index: 2, What: WhatGone}}},
		{"renamed", []Event{{Index: 1, Name: "a", What: WhatLink}, {Index: 1, Name: "b", What: WhatLink}, {Index: 1, What: WhatSettings}}, []Event{{Index: 1, Name: "a", What: WhatLink | WhatSettings}, {Index: 1, Name: "b", What: WhatLink}}},
		{"anything of one", []Event{{Index: 1, What: WhatLink}, {Index: 1}}, []Event{{Index: 1}}},
		{"anything of any", []Event{{Index: 1, What: WhatLink}, {}, {Index: 2, What: WhatLink}}, []Event{{}}},
		{"too many", many, []Event{{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s events
			for _, e := range tt.in {
				s.add(e)
			}
			if !slices.Equal(s.list, tt.want) {
				t.Errorf("got %+v, want %+v", s.list, tt.want)
			}
		})
	}
}

func TestReadNeighbors(t *testing.T) {
	t.Parallel()
	k := &fakeKernel{known: [][]byte{
		neighborBody(pod1, "2001:db8::1", unix.NUD_REACHABLE), neighborBody(pod1, "2001:db8::2", unix.NUD_STALE),
		neighborBody(pod1, "2001:db8::3", unix.NUD_FAILED), neighborBody(pod1, "fe80::1", unix.NUD_REACHABLE),
		neighborBody(pod1, "ff02::1", unix.NUD_NOARP), stationBody(bridge, pod1, numbered(1)),
	}}
	got, err := readNeighbors(k)
	if err != nil || len(got) != 3 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i, want := range []struct{ alive, known, failed bool }{{true, true, false}, {false, true, false}, {false, false, true}} {
		if n := got[i]; n.Alive != want.alive || n.Known() != want.known || n.Failed != want.failed || n.Index != pod1 {
			t.Errorf("neighbor is %+v", n)
		}
	}
	if _, err := ReadNeighbors(); err != nil {
		t.Error(err)
	}
}

func TestUnreachables(t *testing.T) {
	t.Parallel()
	at := parseUnreachables("ifIndex                         \t7\nIcmp6OutMsgs\t9\nIcmp6OutDestUnreachs            \t10\n")
	if at != (Unreachables{Index: 7, Sent: 10}) {
		t.Errorf("read %+v", at)
	}
	if got := readUnreachables("lo"); got.Index == 0 {
		t.Errorf("lo has %+v", got)
	}
	if got := readUnreachables("none-such"); got != (Unreachables{}) {
		t.Errorf("no interface has %+v", got)
	}
}

func TestReadLink(t *testing.T) {
	t.Parallel()
	if _, err := ReadLink("none-such", 0); !errors.Is(err, ErrNoLink) {
		t.Errorf("error is %v", err)
	}
	l, err := ReadLink("lo", 0)
	if err != nil || l.Ethernet || l.Index == 0 || l.MAC != [6]byte{} {
		t.Errorf("lo is %+v, %v", l, err)
	}
	renamed, err := ReadLink("none-such", l.Index)
	if err != nil || renamed.Name != "lo" {
		t.Errorf("by index: %+v, %v", renamed, err)
	}
}
