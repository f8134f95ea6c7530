// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// up is an interface on which solicitations can be answered.
func up(name string, index int) rules.Link {
	return rules.Link{
		Name: name, Index: index, MAC: [6]byte{2, 0, 0, 0, 0, byte(index)}, Ethernet: true, Up: true, IPv6: true,
		Addresses: []rules.LinkAddress{{Prefix: netip.MustParsePrefix("fe80::1/64"), Usable: true}},
	}
}

func static(prefix string) []rules.Rule {
	return []rules.Rule{{Prefix: netip.MustParsePrefix(prefix), Method: rules.Static}}
}

// TestLife leads one uplink through its states: what happens to the interface,
// and what becomes of the uplink. No privilege is needed.
func TestLife(t *testing.T) {
	t.Parallel()
	type step struct {
		name   string
		change func(*host)
		state  uplink.State
		socket bool // whether one is open afterwards
	}
	set := func(f func(*rules.Link)) func(*host) {
		return func(h *host) {
			l := h.links["eth0"]
			f(&l)
			h.links["eth0"] = l
		}
	}
	gone := func(h *host) { clear(h.links) }
	come := func(index int) func(*host) { return func(h *host) { h.links["eth0"] = up("eth0", index) } }
	refuse := func(err error) func(*host) { return func(h *host) { h.refuse = err } }
	tests := []struct {
		name  string
		start func(*host)
		steps []step
	}{
		{"absent, then there", gone, []step{
			{"not there", nil, uplink.Absent, false},
			{"created", come(7), uplink.Ready, true},
		}},
		{"link flaps", nil, []step{
			{"up", nil, uplink.Ready, true},
			{"down", set(func(l *rules.Link) { l.Up = false }), uplink.Down, true},
			{"up again", set(func(l *rules.Link) { l.Up = true }), uplink.Ready, true},
		}},
		{"no address yet", set(func(l *rules.Link) { l.Addresses = nil }), []step{
			{"without", nil, uplink.NoAddress, true},
			{"with", set(func(l *rules.Link) { l.Addresses = up("eth0", 2).Addresses }), uplink.Ready, true},
		}},
		{"IPv6 goes and comes", nil, []step{
			{"off", set(func(l *rules.Link) { l.IPv6 = false }), uplink.NoIPv6, true},
			{"on", set(func(l *rules.Link) { l.IPv6 = true }), uplink.Ready, true},
		}},
		{"becomes a port", nil, []step{
			{"of a bridge", set(func(l *rules.Link) { l.Master = "br0" }), uplink.Port, false},
			{"leaves the bridge", set(func(l *rules.Link) { l.Master = "" }), uplink.Ready, true},
		}},
		{"not Ethernet", set(func(l *rules.Link) { l.Ethernet = false }), []step{
			{"a tunnel", nil, uplink.NotEthernet, false},
		}},
		{"replaced", nil, []step{
			{"the first device", nil, uplink.Ready, true},
			{"deleted", gone, uplink.Absent, false},
			{"created anew", come(9), uplink.Ready, true},
		}},
		{"replaced unseen", nil, []step{
			{"another device of the name", come(9), uplink.Ready, true},
		}},
		{"renamed", nil, []step{
			{"the device is eth9 now", func(h *host) {
				l := h.links["eth0"]
				delete(h.links, "eth0")
				l.Name = "eth9"
				h.links["eth9"] = l
			}, uplink.Ready, true},
			{"another takes the name", come(11), uplink.Ready, true},
		}},
		{"MAC address changes", nil, []step{
			{"another", set(func(l *rules.Link) { l.MAC[0] = 6 }), uplink.Ready, true},
		}},
		{"socket refused", refuse(errors.New("too many open files")), []step{
			{"failed", nil, uplink.Failed, false},
			{"tried again without an event", func(h *host) { h.refuse = nil }, uplink.Ready, true},
		}},
		{"reading fails for a while", nil, []step{
			{"what works is kept", func(h *host) { h.readErr = errors.New("no buffer space") }, uplink.Ready, true},
			{"read again", func(h *host) { h.readErr = nil }, uplink.Ready, true},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHost(up("eth0", 2))
				if tt.start != nil {
					tt.start(h)
				}
				r := run(t, h, static("2001:db8::/64"), "eth0")
				defer r.stop()
				for _, s := range tt.steps {
					if s.change != nil {
						h.change(s.change)
						r.event()
						time.Sleep(10 * time.Second) // for what is tried again
						synctest.Wait()
					}
					f, socket := r.facts("eth0"), h.open()
					if f.State != s.state || (socket != nil) != s.socket {
						t.Fatalf("%s: state %v (%s), socket %v; want %v, %v", s.name, f.State, f.Why, socket != nil, s.state, s.socket)
					}
					if socket == nil {
						continue
					}
					if socket.index != f.Link.Index || socket.mac() != f.Link.MAC {
						t.Errorf("%s: the socket is on device %d with %v, the link is %d with %v", s.name, socket.index, socket.mac(), f.Link.Index, f.Link.MAC)
					}
				}
			})
		})
	}
}

// TestFailedSocket replaces a socket that ends by itself.
func TestFailedSocket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2))
		r := run(t, h, static("2001:db8::/64"), "eth0")
		defer r.stop()
		first := h.open()
		first.fail()
		synctest.Wait()
		if f := r.facts("eth0"); f.State != uplink.Failed {
			t.Fatalf("state is %v", f.State)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if f := r.facts("eth0"); f.State != uplink.Ready || h.open() == first {
			t.Fatalf("state is %v, with the old socket: %v", f.State, h.open() == first)
		}
	})
}

// TestFailedSocketUnread replaces a socket that ends by itself while the link
// cannot be read either, as without descriptors, and does not spin meanwhile.
func TestFailedSocketUnread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2))
		r := run(t, h, static("2001:db8::/64"), "eth0")
		defer r.stop()
		h.change(func(h *host) { h.readErr, h.reads = errors.New("too many open files"), 0 })
		h.open().fail()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		h.change(func(h *host) {
			if h.reads > 10 {
				t.Errorf("the link was read %d times in 10 s", h.reads)
			}
			h.readErr = nil
		})
		if f := r.facts("eth0"); f.State != uplink.Failed {
			t.Errorf("state without a socket is %v", f.State)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if f := r.facts("eth0"); f.State != uplink.Ready || h.open() == nil {
			t.Errorf("state is %v (%s)", f.State, f.Why)
		}
	})
}

// TestRenamedToUplink leaves a device alone that was renamed to what another
// uplink waits for.
func TestRenamedToUplink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2))
		r := run(t, h, static("2001:db8::/64"), "eth0", "eth1")
		defer r.stop()
		h.change(func(h *host) {
			delete(h.links, "eth0")
			h.links["eth1"] = up("eth1", 2)
		})
		r.event()
		if a, b := r.facts("eth0").State, r.facts("eth1").State; a != uplink.Absent || b != uplink.Ready {
			t.Fatalf("eth0 is %v and eth1 %v", a, b)
		}
		h.open() // panics if there are two
	})
}

// TestJudge tells the states apart by the link alone.
func TestJudge(t *testing.T) {
	t.Parallel()
	addresses := up("eth0", 2).Addresses
	tests := []struct {
		link rules.Link
		want uplink.State
		why  string
	}{
		{rules.Link{}, uplink.Absent, "does not exist"},
		{rules.Link{Name: "eth0", Index: 2, Ethernet: true, IPv6: true, Up: true, Addresses: addresses}, uplink.Ready, ""},
		{rules.Link{Name: "eth0", Index: 2, Ethernet: true, IPv6: true, Up: true}, uplink.NoAddress, "no usable IPv6 address"},
		{rules.Link{Name: "eth0", Index: 2, Ethernet: true, IPv6: true, Addresses: addresses}, uplink.Down, "the link is down"},
		{rules.Link{Name: "eth0", Index: 2, Ethernet: true, Up: true}, uplink.NoIPv6, "has no IPv6"},
		{rules.Link{Name: "wg0", Index: 2}, uplink.NotEthernet, "not Ethernet"},
		{rules.Link{Name: "eth0", Index: 2, Ethernet: true, Master: "br0"}, uplink.Port, "eth0 is a port of br0 and hears nothing by itself: use br0"},
	}
	for _, tt := range tests {
		if got, why := uplink.Judge(tt.link, ndp.NewInterface(tt.link, rules.Uplink{}), rules.SourceAuto); got != tt.want || !strings.Contains(why, tt.why) {
			t.Errorf("%+v: %s %q", tt.link, got, why)
		}
	}
}
