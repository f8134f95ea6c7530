// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestStuckUplink shows that an uplink whose kernel does not answer delays no
// other uplink, no table, no question about the state and not the end.
func TestStuckUplink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2), up("eth1", 3))
		r := run(t, h, static("2001:db8::/64"), "eth0", "eth1")
		release := make(chan struct{})
		h.change(func(h *host) { h.stuck["eth0"] = release })
		begin := time.Now()
		for i := range 1000 { // events and tables that nobody takes in
			r.set.LinkChanged(hostwatch.Event{Index: 2, Name: "eth0"})
			r.store.Update(rules.Kernel, []rules.EntryChange{{Entry: rules.Entry{Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 15: byte(i)}), 128)}}})
		}
		if err := r.store.SetRules(static("2001:db8:1::/64")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var eth1 *responder
		for _, s := range h.sockets {
			if s.index == 3 {
				eth1 = s
			}
		}
		target := netip.MustParseAddr("2001:db8:1::5")
		if v := eth1.view.Find(target); v == nil || !v.Answer {
			t.Errorf("eth1 does not answer by the new rules while eth0 is stuck: %+v", v)
		}
		if f := r.facts("eth0"); f.State != uplink.Ready {
			t.Errorf("the last facts of eth0 are %+v", f)
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("somebody waited for %v", waited)
		}
		r.stop()
		if waited := time.Since(begin); waited > 5*time.Second {
			t.Errorf("the end took %v", waited)
		}
		close(release)
		synctest.Wait()
		time.Sleep(time.Second)
	})
}

// TestBusyDevice keeps announcements for later while the device has no room, and
// goes on with everything else.
func TestBusyDevice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2))
		rs := []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Route}}
		r := run(t, h, rs, "eth0")
		defer r.stop()
		h.change(func(h *host) { h.busy = true })
		pod := netip.MustParsePrefix("2001:db8::5/128")
		r.store.Update(rules.Kernel, []rules.EntryChange{{Entry: rules.Entry{Prefix: pod, Behind: true, Neighbor: true, Device: 9}}})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		socket := h.open()
		if n := socket.frames(); n != 0 {
			t.Fatalf("%d frames were sent by a device without room", n)
		}
		if v := socket.view.Find(pod.Addr()); v == nil || !v.Answer {
			t.Errorf("the pod is not answered for: %+v", v)
		}
		h.change(func(h *host) { h.busy = false })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := socket.frames(); n != 3 { // MAX_NEIGHBOR_ADVERTISEMENT, RFC 4861 §10
			t.Errorf("%d announcements were sent when there was room, want 3", n)
		}
	})
}

// TestCountDrops reads the kernel's figure when it is asked for, and not longer than
// a moment from an uplink that is stuck.
func TestCountDrops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2), up("eth1", 3))
		r := run(t, h, static("2001:db8::/64"), "eth0", "eth1")
		release := make(chan struct{})
		h.change(func(h *host) { h.stuck["eth0"] = release })
		r.set.LinkChanged(hostwatch.Event{Index: 2, Name: "eth0"})
		begin := time.Now()
		r.set.CountDrops(t.Context())
		if waited := time.Since(begin); waited > time.Second {
			t.Errorf("the figures took %v", waited)
		}
		if a, b := r.facts("eth0").Counters.Drops.Load(), r.facts("eth1").Counters.Drops.Load(); a != 0 || b != 1 {
			t.Errorf("%d frames were lost on the stuck uplink, %d on the other; want 0 and 1", a, b)
		}
		close(release)
		synctest.Wait()
		r.stop()
	})
}

// TestAlive takes uplinks for alive while one of their tasks is stuck, and not when
// all are.
func TestAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2), up("eth1", 3))
		r := run(t, h, static("2001:db8::/64"), "eth0", "eth1")
		release := make(chan struct{})
		for i, name := range []string{"eth0", "eth1"} {
			if err := r.set.Alive(t.Context()); err != nil {
				t.Errorf("with %d stuck uplinks: %v", i, err)
			}
			h.change(func(h *host) { h.stuck[name] = release })
			r.set.LinkChanged(hostwatch.Event{Index: i + 2, Name: name})
			synctest.Wait()
		}
		if r.set.Alive(t.Context()) == nil {
			t.Error("all uplinks are stuck, and taken for alive")
		}
		close(release)
		synctest.Wait()
		r.stop()
	})
}
