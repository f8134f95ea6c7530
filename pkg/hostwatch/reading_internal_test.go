// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestWatchRetry starts a Watcher on a host that is out of descriptors.
func TestWatchRetry(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fails []error
		tries int
		ok    bool
	}{
		{"at once", nil, 0, true},
		{"out of descriptors", []error{unix.EMFILE, unix.ENFILE}, 2, true},
		{"out of descriptors while reading", []error{nil, unix.EMFILE, nil, nil, unix.ENOBUFS}, 2, true},
		{"no netlink", []error{unix.EMFILE, unix.EAFNOSUPPORT}, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				w, err := openRetry(t.Context(), &fakeKernel{fails: tt.fails}, func(error) { tries++ })
				if (err == nil) != tt.ok || tries != tt.tries {
					t.Errorf("got %v after %d tries", err, tries)
				}
				if w != nil {
					w.Close()
				}
			})
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := openRetry(ctx, &fakeKernel{fails: slices.Repeat([]error{unix.EMFILE}, 9)}, func(error) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// TestReading reads the routes anew after events were lost: beside the events, as
// often as it fails, and with what it finds gone.
func TestReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{links: testDevices(), list: []Route{message("2001:db8:1::/64", dev(pod1)), message("2001:db8:2::/64", dev(pod1))}}
		w, h, routes, _ := start(t, k)
		behind := func(p string) bool {
			d, ok := decide(w.Routes, p)
			return ok && d.Prefix.String() == p
		}
		// Events are lost, and the reading fails twice, and then takes long.
		block := make(chan struct{})
		k.set(func() {
			k.links = slices.DeleteFunc(testDevices(), func(d Device) bool { return d.Index == pod2 })
			k.list = k.list[:1]
			k.fails = []error{unix.EMFILE, unix.ENOMEM}
			k.block = block
		})
		routes.messages <- fakeMessage{err: errOverrun}
		if got := h.take(); len(got.links) != 1 || got.links[0] != (Event{}) || len(got.failed) != 1 {
			t.Errorf("heard %+v", got)
		}
		time.Sleep(retryFirst)
		if got := h.take(); len(got.failed) != 1 {
			t.Errorf("failed with %v", got.failed)
		}
		time.Sleep(time.Minute)
		// What comes meanwhile is followed at once.
		routes.messages <- fakeMessage{kind: unix.RTM_NEWROUTE, body: routeBody("2001:db8:3::/64", pod1)}
		routes.messages <- fakeMessage{kind: unix.RTM_DELROUTE, body: routeBody("2001:db8:1::/64", pod1)}
		if got := h.take(); len(got.prefixes) != 2 || got.all != 0 || !behind("2001:db8:3::/64") || behind("2001:db8:1::/64") {
			t.Errorf("heard %+v", got)
		}
		close(block)
		got := h.take()
		if want := (Event{Index: pod2, Name: "pod2", What: WhatGone}); got.all != 1 || len(got.links) != 1 || got.links[0] != want {
			t.Errorf("heard %+v", got)
		}
		// The reading is older than these events.
		if !behind("2001:db8:3::/64") || behind("2001:db8:2::/64") || behind("2001:db8:1::/64") {
			t.Error("the copy is wrong")
		}
		if w.Routes.Has(pod2) || w.Routes.Index("pod2") != 0 || w.Routes.Index("pod1") != pod1 {
			t.Error("devices are wrong")
		}
	})
}

// TestReadingStale loses events during a reading, which is then worth nothing.
func TestReadingStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{links: testDevices()}
		w, h, routes, _ := start(t, k)
		block := make(chan struct{})
		k.set(func() { k.block, k.list = block, []Route{message("2001:db8:1::/64", dev(pod1))} })
		routes.messages <- fakeMessage{err: errOverrun}
		synctest.Wait()
		k.set(func() { k.list = []Route{message("2001:db8:2::/64", dev(pod1))} })
		routes.messages <- fakeMessage{err: errOverrun}
		synctest.Wait()
		close(block)
		if got := h.take(); got.all != 0 {
			t.Error("a reading was taken that events are missing from")
		}
		time.Sleep(readMost)
		if got := h.take(); got.all != 1 || count(w.Routes) != 1 {
			t.Errorf("heard %+v", got)
		}
	})
}

// TestReadingUnsettled reads while routes change all the time: what was found
// holds, somebody is told, and readings become rare, but for one that is asked
// for.
func TestReadingUnsettled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{links: testDevices()}
		w, h, routes, _ := start(t, k)
		change := func() {
			routes.messages <- fakeMessage{kind: unix.RTM_NEWROUTE, body: routeBody("2001:db8:9::/64", pod1)}
			time.Sleep(time.Microsecond)
		}
		k.set(func() { k.during, k.list = change, []Route{message("2001:db8:1::/64", dev(pod1))} })
		routes.messages <- fakeMessage{err: errOverrun}
		time.Sleep(time.Millisecond)
		if got := h.take(); got.all != 1 || len(got.failed) != 1 || !errors.Is(got.failed[0], errUnsettled) || count(w.Routes) != 2 {
			t.Errorf("heard %+v", got)
		}
		time.Sleep(10 * time.Minute)
		if got := h.take(); got.all < 5 || got.all > 30 {
			t.Errorf("%d readings in ten minutes", got.all)
		}
		time.Sleep(time.Second)
		h.take()
		k.set(func() { k.during = nil })
		routes.messages <- fakeMessage{kind: unix.RTM_NEWRULE}
		if got := h.take(); got.all != 1 {
			t.Error("a reading that was asked for did not come")
		}
		time.Sleep(time.Hour)
		if got := h.take(); got.all > 1 {
			t.Errorf("%d readings after everything settled", got.all)
		}
	})
}

// TestSocketFails opens a socket that failed again, and reads everything then.
func TestSocketFails(t *testing.T) {
	t.Parallel()
	for at, name := range []string{"routes", "neighbors"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := &fakeKernel{links: testDevices()}
				w, h, _, _ := start(t, k)
				w.Stations(bridge)
				k.set(func() {
					k.list = []Route{message("2001:db8:1::/64", dev(pod1))}
					k.known = [][]byte{stationBody(bridge, pod1, numbered(1))}
					k.fails = []error{unix.EMFILE}
				})
				k.sockets[at].messages <- fakeMessage{err: errors.New("broken")}
				time.Sleep(time.Minute)
				got := h.take()
				if len(got.failed) != 2 || len(k.sockets) != 3 {
					t.Errorf("failed with %v, %d sockets", got.failed, len(k.sockets))
				}
				if at == 1 && !slices.Equal(got.links, []Event{{Index: bridge, What: WhatStations}}) {
					t.Errorf("heard %+v", got.links)
				}
				if at == 0 && (got.all != 1 || count(w.Routes) != 1) {
					t.Errorf("heard %+v", got)
				}
				k.sockets[2].messages <- fakeMessage{kind: unix.RTM_NEWNEIGH, body: stationBody(bridge, pod2, numbered(2))}
				time.Sleep(time.Second)
				if at == 1 && len(w.Stations(bridge)) != 2 {
					t.Errorf("stations are %v", w.Stations(bridge))
				}
			})
		})
	}
}

// TestLinkRoutes leaves out what each device has: a new device makes no reading.
func TestLinkRoutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{links: testDevices()}
		w, h, routes, _ := start(t, k)
		for i := range int32(50) {
			index := 100 + i
			routes.messages <- fakeMessage{kind: unix.RTM_NEWLINK, body: linkBody(index, "veth"+string(rune('a'+i)), 0)}
			for _, p := range []string{"fe80::/64", "ff00::/8", "fe80::1/128"} {
				routes.messages <- fakeMessage{kind: unix.RTM_NEWROUTE, body: routeBody(p, index)}
			}
			p := netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 15: byte(i)}), 128)
			routes.messages <- fakeMessage{kind: unix.RTM_NEWROUTE, body: routeBody(p.String(), index)}
			if got := h.take(); !slices.Equal(got.prefixes, []netip.Prefix{p}) || len(got.links) != 1 || got.links[0].Index != int(index) || got.all != 0 {
				t.Fatalf("heard %+v", got)
			}
		}
		time.Sleep(time.Hour)
		if got := h.take(); k.dumps != 1 || got.all != 0 || count(w.Routes) != 50 {
			t.Errorf("%d dumps, heard %+v", k.dumps, got)
		}
		for i := range int32(50) {
			if !w.Routes.Has(100 + i) {
				t.Errorf("device %d is missing", i)
			}
		}
	})
}
