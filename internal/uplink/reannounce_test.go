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

// The types of messages, RFC 4861 §4.3 and §4.4.
const (
	solicitation  = 135
	advertisement = 136
)

// sent counts the messages of a type about a target that all sockets have sent, and
// returns the last one.
func (h *host) sent(kind byte, target netip.Addr) (n int, last []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sockets {
		for _, f := range s.sent {
			if f[54] == kind && [16]byte(f[62:78]) == target.As16() {
				n++
				last = f
			}
		}
	}
	return n, last
}

// TestReannounce announces what is behind us again and again, for as long as it is
// to be.
func TestReannounce(t *testing.T) {
	t.Parallel()
	const series = 3 // MAX_NEIGHBOR_ADVERTISEMENT, RFC 4861 §10
	target := netip.MustParseAddr("2001:db8::5")
	behind := rules.Entry{Prefix: netip.PrefixFrom(target, 128), Behind: true, Neighbor: true, Device: 9}
	link := func(up bool) func(*testing.T, *rig, *host) {
		return func(_ *testing.T, r *rig, h *host) {
			h.change(func(h *host) {
				l := h.links["eth0"]
				l.Up = up
				h.links["eth0"] = l
			})
			r.event()
		}
	}
	configure := func(u rules.Uplink) func(*testing.T, *rig, *host) {
		return func(_ *testing.T, r *rig, _ *host) {
			own := u // others run at once
			own.Interface = "eth0"
			r.set.Configure([]rules.Uplink{own})
		}
	}
	entry := func(source rules.Source, e rules.Entry, gone bool) func(*testing.T, *rig, *host) {
		return func(_ *testing.T, r *rig, _ *host) {
			r.store.Update(source, []rules.EntryChange{{Entry: e, Gone: gone}})
		}
	}
	leaving := behind
	leaving.Leaving = true
	type step struct {
		do     func(*testing.T, *rig, *host)
		during time.Duration
		want   int // advertisements in that time
	}
	const every = time.Minute
	on := step{configure(rules.Uplink{Reannounce: every}), 0, 0}
	come := step{entry(rules.Kernel, behind, false), 10 * time.Second, series}
	tests := []struct {
		name   string
		method rules.Method
		steps  []step
	}{
		{"off", rules.Route, []step{come, {nil, time.Hour, 0}}},
		{"each minute", rules.Route, []step{on, come, {nil, 10 * every, 10}, {nil, 10 * every, 10}}},
		{"gone", rules.Route, []step{on, come, {nil, 10 * every, 10}, {entry(rules.Kernel, behind, true), time.Hour, 0}}},
		{"leaving", rules.Services, []step{
			on, {entry(rules.ServiceAddresses, behind, false), 10 * time.Second, series}, {nil, 10 * every, 10}, {entry(rules.ServiceAddresses, leaving, false), time.Hour, 0},
		}},
		{"the link is down for a while", rules.Route, []step{on, come, {link(false), time.Hour, 0}, {link(true), 10 * time.Second, series}, {nil, 10 * every, 10}}},
		{"turned on later", rules.Route, []step{come, {nil, time.Hour, 0}, on, {nil, 10 * every, 10}}},
		{"turned off", rules.Route, []step{on, come, {nil, 10 * every, 10}, {configure(rules.Uplink{}), time.Hour, 0}}},
		{"another interval", rules.Route, []step{on, come, {configure(rules.Uplink{Reannounce: 10 * time.Second}), 100 * time.Second, 10}}},
		{"a reload that changes nothing", rules.Route, []step{on, come, {nil, 10 * every, 10}, on, {nil, 10 * every, 10}}},
		{"nobody is told", rules.Route, []step{on, come, {configure(rules.Uplink{Reannounce: every, Gratuitous: rules.GratuitousNone}), time.Hour, 0}}},
		{"all routers, too", rules.Route, []step{{configure(rules.Uplink{Reannounce: every, Gratuitous: rules.GratuitousRouters}), 0, 0}, {come.do, 10 * time.Second, 2 * series}, {nil, 10 * every, 20}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHost(up("eth0", 2))
				rs := []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: tt.method}}
				r := run(t, h, rs, "eth0")
				defer r.stop()
				for i, s := range tt.steps {
					before, _ := h.sent(advertisement, target)
					if s.do != nil {
						s.do(t, r, h)
					}
					time.Sleep(s.during)
					synctest.Wait()
					if s.during == 0 {
						continue
					}
					n, last := h.sent(advertisement, target)
					if n-before != s.want {
						t.Errorf("step %d: %d advertisements, want %d", i, n-before, s.want)
					}
					if n > before && last[58] != 0x20 { // O, as in the first ones
						t.Errorf("step %d: the flags are %#x", i, last[58])
					}
				}
			})
		})
	}
}

// TestReannounceClaimed leaves an address alone that another station claims, also
// where evidence of our own outweighs the claim.
func TestReannounceClaimed(t *testing.T) {
	t.Parallel()
	target := netip.MustParsePrefix("2001:db8::5/128")
	for _, rule := range []rules.Rule{{Prefix: target, Method: rules.Static}, {Prefix: target, Method: rules.Route}} {
		t.Run(rule.Method.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHost(up("eth0", 2))
				r := run(t, h, []rules.Rule{rule}, "eth0")
				defer r.stop()
				r.store.Update(rules.Kernel, []rules.EntryChange{{Entry: rules.Entry{Prefix: target, Behind: true, Device: 9}}})
				r.set.Configure([]rules.Uplink{{Interface: "eth0", Reannounce: time.Minute}})
				socket := h.open()
				sign := ndp.Sighting{Address: target.Addr(), MAC: [6]byte{2, 9}, Advertisement: true, Override: true}
				socket.config.Sighted(sign)
				sign.Solicited = true
				asked := 0
				answer := func(d time.Duration) { // the station answers whatever it is asked
					for range d / (10 * time.Millisecond) {
						if n, _ := h.sent(solicitation, target.Addr()); n > asked {
							asked = n
							socket.config.Sighted(sign)
						}
						time.Sleep(10 * time.Millisecond)
					}
				}
				answer(20 * time.Second)
				if len(r.facts("eth0").Conflicts) != 1 {
					t.Fatal("there is no conflict")
				}
				before, _ := h.sent(advertisement, target.Addr())
				answer(10 * time.Minute)
				if n, _ := h.sent(advertisement, target.Addr()); n != before || len(r.facts("eth0").Conflicts) != 1 {
					t.Errorf("%d advertisements while the station has the address", n-before)
				}
				time.Sleep(20 * time.Minute) // it has gone
				synctest.Wait()
				before, _ = h.sent(advertisement, target.Addr())
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if n, _ := h.sent(advertisement, target.Addr()); n-before != 10 {
					t.Errorf("%d advertisements after the station has gone, want 10", n-before)
				}
			})
		})
	}
}

// TestReannounceSpread spreads many addresses over the interval, prefixes and learned
// targets left out.
func TestReannounceSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2))
		r := run(t, h, []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Route}}, "eth0")
		defer r.stop()
		const addresses = 120
		changes := []rules.EntryChange{{Entry: rules.Entry{Prefix: netip.MustParsePrefix("2001:db8:0:0:1::/80"), Behind: true, Device: 9}}}
		for i := range addresses {
			a := netip.MustParseAddr("2001:db8::").As16()
			a[15] = byte(i)
			changes = append(changes, rules.EntryChange{Entry: rules.Entry{Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 128), Behind: true, Device: 9}})
		}
		r.store.Update(rules.Kernel, changes)
		r.set.Configure([]rules.Uplink{{Interface: "eth0", Reannounce: 2 * time.Minute}})
		time.Sleep(5 * time.Minute) // the first series are over
		last := h.open().frames()
		for second := range 240 {
			time.Sleep(time.Second)
			synctest.Wait()
			now := h.open().frames()
			if n := now - last; n != 1 {
				t.Fatalf("%d advertisements in second %d, want 1", n, second)
			}
			last = now
		}
	})
}
