// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func numbered(i int) station {
	return station{mac: [6]byte{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}}
}

// TestStations follows what a bridge learns.
func TestStations(t *testing.T) {
	t.Parallel()
	const second = bridge + 100
	group := station{mac: [6]byte{0x33, 0x33}}
	tagged := station{mac: numbered(1).mac, vlan: 7}
	tests := []struct {
		name string
		do   func(*bridges)
		want []station
	}{
		{"nothing", func(*bridges) {}, nil},
		{"behind a virtual port", func(b *bridges) { b.learn(bridge, pod1, numbered(1)) }, []station{numbered(1)}},
		{"behind a wire", func(b *bridges) { b.learn(bridge, uplink, numbered(1)) }, nil},
		{"behind an unknown port", func(b *bridges) { b.learn(bridge, 99, numbered(1)) }, nil},
		{"a group", func(b *bridges) { b.learn(bridge, pod1, group) }, nil},
		{"of another bridge", func(b *bridges) { b.learn(second, pod1, numbered(1)) }, nil},
		{"moved to a wire", func(b *bridges) { b.learn(bridge, pod1, numbered(1)); b.learn(bridge, uplink, numbered(1)) }, nil},
		{"moved to another port", func(b *bridges) {
			b.learn(bridge, pod1, numbered(1))
			b.learn(bridge, pod2, numbered(1))
			b.forget(bridge, pod1, numbered(1)) // late
		}, []station{numbered(1)}},
		{"forgotten", func(b *bridges) { b.learn(bridge, pod1, numbered(1)); b.forget(bridge, pod1, numbered(1)) }, nil},
		{"forgotten in one of two VLANs", func(b *bridges) {
			b.learn(bridge, pod1, numbered(1))
			b.learn(bridge, pod1, tagged)
			b.forget(bridge, pod1, numbered(1))
		}, []station{tagged}},
		{"the port leaves", func(b *bridges) {
			b.learn(bridge, pod1, numbered(1))
			b.learn(bridge, pod2, numbered(2))
			b.setDevice(Device{Index: pod1, Kind: "veth"}, false)
		}, []station{numbered(2)}},
		{"the port is gone", func(b *bridges) {
			b.learn(bridge, pod1, numbered(1))
			b.setDevice(Device{Index: pod1, Kind: "veth"}, true)
		}, nil},
		{"the bridge is gone", func(b *bridges) {
			b.learn(bridge, pod1, numbered(1))
			b.setDevice(Device{Index: bridge, Kind: "bridge"}, true)
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := testBridges()
			tt.do(b)
			want := make(map[[6]byte]bool)
			for _, s := range tt.want {
				want[s.mac] = true
			}
			if got := b.stations(bridge); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func testBridges() *bridges {
	b := newBridges()
	for _, d := range testDevices() {
		b.setDevice(d, false)
	}
	return b
}

func testDevices() []Device {
	return []Device{
		{Index: uplink, Name: "eth0", Kind: "device", Neighbors: true, Up: true, Master: bridge},
		{Index: pod1, Name: "pod1", Kind: "veth", Neighbors: true, Up: true, Master: bridge},
		{Index: pod2, Name: "pod2", Kind: "veth", Neighbors: true, Up: true, Master: bridge},
		{Index: bridge, Name: "br0", Kind: "bridge", Neighbors: true, Up: true},
	}
}

// TestStationsBounded makes MAC addresses up behind one port: it takes no room
// from the other, and none at all behind a wire.
func TestStationsBounded(t *testing.T) {
	t.Parallel()
	b := testBridges()
	for i := range 100_000 {
		b.learn(bridge, uplink, numbered(i))
		b.learn(bridge, pod1, numbered(200_000+i))
	}
	b.learn(bridge, pod2, numbered(1))
	got := b.stations(bridge)
	if len(got) != portStations+1 || !got[numbered(1).mac] {
		t.Errorf("%d stations", len(got))
	}
	for i := range 100_000 {
		b.forget(bridge, pod1, numbered(200_000+i))
	}
	if got := b.stations(bridge); len(got) != 1 || len(b.counts) != 1 {
		t.Errorf("left: %v", got)
	}
}

// TestStationsReported tells of stations as they change, not all the time, and of
// none that nobody looks at or that are behind a wire.
func TestStationsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{links: testDevices(), known: [][]byte{stationBody(bridge, pod1, numbered(1)), stationBody(bridge, uplink, numbered(2))}}
		w, h, _, neighbors := start(t, k)
		learn := func(port int32, i int) {
			neighbors.messages <- fakeMessage{kind: unix.RTM_NEWNEIGH, body: stationBody(bridge, port, numbered(i))}
		}
		learn(pod1, 10)
		if got := h.take(); len(got.links) != 0 {
			t.Errorf("nobody asked, but heard %+v", got.links)
		}
		if got := w.Stations(bridge); len(got) != 2 || !got[numbered(1).mac] || !got[numbered(10).mac] {
			t.Errorf("stations are %v", got)
		}
		for i := range 500 {
			learn(uplink, 1000+i)
		}
		if got := h.take(); len(got.links) != 0 {
			t.Errorf("behind a wire, but heard %+v", got.links)
		}
		before := w.Stations(bridge)
		reports := 0
		for i := range 200 { // 2,000 changes a second
			for j := range 10 {
				learn(pod1, 2000+i%10*10+j)
				learn(uplink, 2000+i%10*10+j)
			}
			time.Sleep(5 * time.Millisecond)
			got := h.take()
			reports += len(got.links)
			if got.all != 0 || len(got.prefixes) != 0 {
				t.Error("routes were reported")
			}
		}
		if reports < stationsBurst || reports > stationsBurst+12 {
			t.Errorf("%d reports in a second", reports)
		}
		learn(pod2, 5)
		time.Sleep(stationsEvery)
		if got := h.take().links; len(got) == 0 || got[len(got)-1] != (Event{Index: bridge, What: WhatStations}) {
			t.Errorf("heard %+v", got)
		}
		if !w.Stations(bridge)[numbered(5).mac] || before[numbered(5).mac] {
			t.Error("the station is missing, or a snapshot changed")
		}
		if k.dumps != 1 {
			t.Errorf("routes were read %d times", k.dumps)
		}
	})
}

// TestStationsOverrun loses events in a flood that goes on: the forwarding tables
// are read again, not all the time, and routes are followed at once meanwhile.
func TestStationsOverrun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{links: testDevices()}
		w, h, routes, neighbors := start(t, k)
		w.Stations(bridge)
		k.set(func() { k.known = [][]byte{stationBody(bridge, pod1, numbered(1))} })
		neighbors.messages <- fakeMessage{err: errOverrun}
		if got := h.take(); len(got.links) != 1 || !w.Stations(bridge)[numbered(1).mac] {
			t.Errorf("heard %+v", got.links)
		}
		k.set(func() { k.known = append(k.known, stationBody(bridge, pod2, numbered(2))) })
		for range 10 { // not read again yet
			neighbors.messages <- fakeMessage{err: errOverrun}
			routes.messages <- fakeMessage{kind: unix.RTM_NEWROUTE, body: routeBody("2001:db8::/64", pod1)}
			if got := h.take(); len(got.prefixes) != 1 {
				t.Errorf("prefixes are %s", got.prefixes)
			}
		}
		if w.Stations(bridge)[numbered(2).mac] {
			t.Error("read again at once")
		}
		time.Sleep(2 * rereadFirst)
		if h.take(); !w.Stations(bridge)[numbered(2).mac] {
			t.Error("never read again")
		}
	})
}
