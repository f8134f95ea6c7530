// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
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
		{"new address", unix.RTM_NEWADDR, addr, Event{Index: 9}, true},
		{"short address", unix.RTM_DELADDR, addr[:5], Event{}, true},
		{"setting of an interface", unix.RTM_NEWNETCONF, settings(3), Event{Index: 3}, true},
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
