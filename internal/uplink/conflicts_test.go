// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestConflictWhileDown lets a station keep its address while it cannot be asked:
// its silence means nothing before the question has left.
func TestConflictWhileDown(t *testing.T) {
	t.Parallel()
	set := func(f func(*host, *rules.Link)) func(*host) {
		return func(h *host) {
			l := h.links["eth0"]
			f(h, &l)
			h.links["eth0"] = l
		}
	}
	tests := []struct {
		name  string
		begin func(*host)
		end   func(*host)
	}{
		{"link down", set(func(_ *host, l *rules.Link) { l.Up = false }), set(func(_ *host, l *rules.Link) { l.Up = true })},
		{"no address to ask from", set(func(_ *host, l *rules.Link) { l.Addresses = nil }), set(func(_ *host, l *rules.Link) { l.Addresses = up("eth0", 2).Addresses })},
		{"no room", func(h *host) { h.busy = true }, func(h *host) { h.busy = false }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHost(up("eth0", 2))
				r := run(t, h, static("2001:db8::/64"), "eth0")
				defer r.stop()
				target := netip.MustParseAddr("2001:db8::5")
				socket := h.open()
				conflicts := func() int { return len(r.facts("eth0").Conflicts) }
				sign := ndp.Sighting{Address: target, MAC: [6]byte{2, 9}, Advertisement: true, Override: true}
				socket.config.Sighted(sign)
				sign.Solicited = true
				for asked := 0; conflicts() == 0; time.Sleep(10 * time.Millisecond) {
					if n := socket.frames(); n > asked { // the station answers
						asked = n
						socket.config.Sighted(sign)
					}
				}
				h.change(tt.begin)
				r.event()
				time.Sleep(time.Minute)
				synctest.Wait()
				if v := socket.view.Find(target); conflicts() != 1 || v.Answer {
					t.Errorf("the claim has ended though nobody could ask")
				}
				h.change(tt.end)
				r.event()
				time.Sleep(time.Minute)
				synctest.Wait()
				if v := socket.view.Find(target); conflicts() != 0 || !v.Answer {
					t.Errorf("the claim stands though the station does not answer")
				}
			})
		})
	}
}
