// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestNextHops never answers for a router: not when an uplink is new, not while
// its device is replaced or down, and again as soon as no route leads there.
func TestNextHops(t *testing.T) {
	t.Parallel()
	router := netip.MustParseAddr("2001:db8::1")
	come := func(index int) func(*host) { return func(h *host) { h.links["eth0"] = up("eth0", index) } }
	hops := func(index int, hops ...netip.Addr) func(*host) {
		return func(h *host) { h.hops = map[int][]netip.Addr{index: hops} }
	}
	down := func(h *host) {
		l := h.links["eth0"]
		l.Up, h.hops = false, nil
		h.links["eth0"] = l
	}
	tests := []struct {
		name   string
		steps  []func(*host)
		answer bool // afterwards
	}{
		{"new uplink", nil, false},
		{"route removed", []func(*host){hops(2)}, true},
		{"route removed and another added", []func(*host){hops(2, netip.MustParseAddr("2001:db8::2"))}, true},
		{"device replaced, no route yet", []func(*host){func(h *host) { clear(h.links); h.hops = nil }, come(7)}, false},
		{"device replaced at once", []func(*host){func(h *host) { come(7)(h); h.hops = nil }}, false},
		{"device replaced, another router", []func(*host){come(7), hops(7, netip.MustParseAddr("2001:db8::2"))}, true},
		{"link down and up", []func(*host){down, come(2)}, false},
		{"link down and up, route removed", []func(*host){down, come(2), hops(2, router), hops(2)}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHost(up("eth0", 2))
				hops(2, router)(h)
				r := run(t, h, static("2001:db8::/64"), "eth0")
				defer r.stop()
				answers := func(s *responder) bool {
					v := s.view.Find(router)
					return v != nil && v.Answer
				}
				for _, step := range tt.steps {
					h.change(step)
					r.event()
					r.set.All()[0].HopsChanged()
					synctest.Wait()
				}
				if answers(h.open()) != tt.answer {
					t.Errorf("the address of the router is answered for: %t, want %t", !tt.answer, tt.answer)
				}
				for i, s := range h.sockets {
					if v := s.config.View.Find(router); v != nil && v.Answer {
						t.Errorf("socket %d began with an answer for the router", i)
					}
				}
			})
		})
	}
}

// TestChanged tells of new settings once they are in force, since others depend
// on them, and not of what changes nothing.
func TestChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2))
		r := run(t, h, static("2001:db8::/64"), "eth0")
		defer r.stop()
		before := r.changed.Load()
		r.set.Configure([]rules.Uplink{{Interface: "eth0", ConsumeUnicast: true}})
		synctest.Wait()
		if !r.facts("eth0").Config.ConsumeUnicast {
			t.Fatal("the settings are not in force")
		}
		if got := r.changed.Load() - before; got != 1 {
			t.Errorf("new settings were told of %d times", got)
		}
		before = r.changed.Load()
		r.event()
		if got := r.changed.Load() - before; got != 0 {
			t.Errorf("an event that changed nothing was told of %d times", got)
		}
	})
}

// TestGaplessSettings applies settings that need new memberships: the new ones are there
// before the old ones go, so that no solicitation is missed. For no settings is a second
// responder opened: both would answer.
func TestGaplessSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		config rules.Uplink
		want   []string
	}{
		{"memberships", rules.Uplink{Membership: rules.MembershipAllMulti}, []string{"join allmulti", "leave auto"}},
		{"socket", rules.Uplink{Early: true}, nil},
		{"both", rules.Uplink{Early: true, Membership: rules.MembershipAllMulti}, []string{"join allmulti", "leave auto"}},
		{"way", rules.Uplink{FastPath: rules.FastPathXDP, LimitPerAsker: 9}, nil},
		{"neither", rules.Uplink{ConsumeUnicast: true}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHost(up("eth0", 2))
				r := run(t, h, static("2001:db8::/64"), "eth0")
				defer r.stop()
				h.change(func(h *host) { h.diary = nil })
				tt.config.Interface = "eth0"
				r.set.Configure([]rules.Uplink{tt.config})
				synctest.Wait()
				h.open() // panics if there are two
				h.change(func(h *host) {
					if !slices.Equal(h.diary, tt.want) {
						t.Errorf("got %q, want %q", h.diary, tt.want)
					}
				})
				if f := r.facts("eth0"); f.State != uplink.Ready {
					t.Errorf("state is %v", f.State)
				}
			})
		})
	}
}
