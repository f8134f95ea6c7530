// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestHandOver has the other host of a pair claim an address while both have a rule for
// it, as for a moment in a change of hands. When the rule holds again after it has
// waited, the claim is forgotten, and the exact address is announced at once.
func TestHandOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2))
		exact := netip.MustParseAddr("2001:db8::5")
		rs := append(static("2001:db8::/64"), static(exact.String()+"/128")...)
		r := run(t, h, rs, "eth0")
		defer r.stop()
		socket := h.open()
		time.Sleep(time.Minute) // until the address is announced
		sign := ndp.Sighting{Address: exact, MAC: [6]byte{2, 9}, Advertisement: true, Override: true}
		socket.config.Sighted(sign)
		sign.Solicited = true
		asked := socket.frames()
		for range 1000 { // ten seconds
			if n := socket.frames(); n > asked { // the other host answers
				asked = n
				socket.config.Sighted(sign)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if len(r.facts("eth0").Conflicts) != 1 {
			t.Fatal("the claim does not stand")
		}
		if err := r.store.SetRules(waiting(rs)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v := r.facts("eth0").View.Find(exact); v.Answer || v.Silence != rules.Standby {
			t.Errorf("while the rule waits the verdict is %+v", v)
		}
		before := socket.frames()
		if err := r.store.SetRules(rs); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v := r.facts("eth0").View.Find(exact); !v.Answer || len(r.facts("eth0").Conflicts) != 0 {
			t.Errorf("when the rule holds again the verdict is %+v", v)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if socket.frames() == before {
			t.Error("the address is not announced")
		}
	})
}

// waiting returns the rules as they are while their conditions are not met.
func waiting(rs []rules.Rule) []rules.Rule {
	rs = slices.Clone(rs)
	for i := range rs {
		if rs[i].Method != rules.Deny { // which never answers anyhow
			rs[i].While.Interface, rs[i].Waiting = "wg0", true
		}
	}
	return rs
}

// asked records what became of a solicitation for an address.
func (r *rig) asked(target netip.Addr, reason ndp.Reason) {
	r.t.Helper()
	if !r.facts("eth0").Recent.Add(ndp.Record{
		At: time.Now(), Target: target, Source: netip.MustParseAddr("fe80::1"), Kind: ndp.Multicast, Reason: reason,
	}) {
		r.t.Fatal("somebody reads the records")
	}
}

// TestChangesOfHands has the condition of a rule met and lost, and counts what is
// announced of an address that somebody has asked for. An announcement of a host that is
// not in charge draws the packets to where nobody takes them, and without one of the host
// that is they go on to the peer.
func TestChangesOfHands(t *testing.T) {
	t.Parallel()
	const series = 3 // MAX_NEIGHBOR_ADVERTISEMENT, RFC 4861 §10
	target := netip.MustParseAddr("2001:db8::7")
	wide := static("2001:db8::/64")
	exact := append(static("2001:db8::/64"), static(target.String()+"/128")...)
	denied := append(static("2001:db8::/64"), rules.Rule{Prefix: netip.MustParsePrefix("2001:db8::/120"), Method: rules.Deny})
	type step struct {
		do     func(*rig, []rules.Rule)
		during time.Duration
		want   int // advertisements in that time
	}
	set := func(change func([]rules.Rule) []rules.Rule) func(*rig, []rules.Rule) {
		return func(r *rig, rs []rules.Rule) {
			if err := r.store.SetRules(change(rs)); err != nil {
				r.t.Fatal(err)
			}
			synctest.Wait()
		}
	}
	hold := set(func(rs []rules.Rule) []rules.Rule { return rs })
	wait := set(waiting)
	asked := func(reason ndp.Reason) step {
		return step{do: func(r *rig, _ []rules.Rule) { r.asked(target, reason) }}
	}
	link := func(up bool) step {
		return step{do: func(r *rig, _ []rules.Rule) {
			r.host.change(func(h *host) {
				l := h.links["eth0"]
				l.Up = up
				h.links["eth0"] = l
			})
			r.event()
		}}
	}
	standby, soon, long := ndp.Silent(rules.Standby), 400*time.Millisecond, time.Minute
	begun := []step{{do: wait}, asked(standby), {hold, soon, 1}}
	tests := []struct {
		name  string
		rules []rules.Rule
		steps []step
	}{
		{"asked for in vain", wide, []step{{do: wait}, asked(standby), {hold, long, series}}},
		{"answered before", wide, []step{asked(ndp.Answered), {wait, long, 0}, {hold, long, series}}},
		{"the answer was withdrawn", wide, []step{asked(ndp.Withdrawn), {wait, long, 0}, {hold, long, series}}},
		{"asked for and never answered", wide, []step{asked(ndp.NoRule), {wait, long, 0}, {hold, long, 0}}},
		{"not asked for", wide, []step{{wait, long, 0}, {hold, long, 0}}},
		{"there, back and there again", wide, []step{
			asked(ndp.Answered), {wait, long, 0}, {hold, long, series}, {wait, long, 0}, {hold, long, series},
		}},
		{"lost a moment later", wide, append(slices.Clone(begun), step{wait, long, 0})},
		{"lost for a moment", wide, append(slices.Clone(begun), step{wait, soon, 0}, step{hold, long, series})},
		{"the rule is taken out", wide, append(slices.Clone(begun), step{set(func([]rules.Rule) []rules.Rule { return nil }), long, 0})},
		{"another rule denies it", wide, append(slices.Clone(begun), step{set(func([]rules.Rule) []rules.Rule { return denied }), long, 0})},
		{"it becomes a next hop", wide, append(slices.Clone(begun), step{func(r *rig, _ []rules.Rule) {
			r.host.change(func(h *host) { h.hops = map[int][]netip.Addr{2: {target}} })
			r.event()
		}, long, 0})},
		{"lost while the link is down", wide, append(slices.Clone(begun), link(false), step{do: wait}, link(true), step{nil, long, 0})},
		{"lost while there is no socket", wide, append(slices.Clone(begun), step{do: func(r *rig, _ []rules.Rule) {
			r.host.change(func(h *host) { h.refuse = errors.New("no buffers") })
			r.host.open().fail()
			synctest.Wait()
		}}, step{do: wait}, step{func(r *rig, _ []rules.Rule) {
			r.host.change(func(h *host) { h.refuse = nil })
			r.event()
		}, long, 0})},
		// The first announcement leaves at the start.
		{"a line of its own", exact, []step{{nil, long, series - 1}, {wait, long, 0}, {hold, soon, 1}, {wait, soon, 0}, {hold, long, series}}},
		{"a line of its own, and asked for", exact, []step{{nil, long, series - 1}, asked(ndp.Answered), {wait, long, 0}, {hold, long, series}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHost(up("eth0", 2))
				r := run(t, h, tt.rules, "eth0")
				defer r.stop()
				for i, s := range tt.steps {
					before, _ := h.sent(advertisement, target)
					if s.do != nil {
						s.do(r, tt.rules)
					}
					time.Sleep(s.during)
					synctest.Wait()
					if s.during == 0 {
						continue
					}
					if n, _ := h.sent(advertisement, target); n-before != s.want {
						t.Errorf("step %d: %d advertisements, want %d", i, n-before, s.want)
					}
				}
			})
		})
	}
}

// TestHandOverNewest takes over no more than a bounded number of addresses: those that
// were asked for last, without those that are not answered for.
func TestHandOverNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2))
		rs := append(static("2001:db8::/64"), rules.Rule{Prefix: netip.MustParsePrefix("2001:db8::d:0/112"), Method: rules.Deny})
		r := run(t, h, rs, "eth0")
		defer r.stop()
		address := func(i int, denied byte) netip.Addr {
			a := netip.MustParseAddr("2001:db8::").As16()
			a[13], a[14], a[15] = denied, byte(i>>8), byte(i)
			return netip.AddrFrom16(a)
		}
		const all, most = 300, 256
		for i := range all {
			r.asked(address(i, 0), ndp.Answered)
			r.asked(address(i, 0xd), ndp.Answered)
		}
		for _, now := range [][]rules.Rule{waiting(rs), rs} {
			if err := r.store.SetRules(now); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for i := range all {
			if n, _ := h.sent(advertisement, address(i, 0)); (n > 0) != (i >= all-most) {
				t.Errorf("address %d of %d has %d advertisements", i, all, n)
			}
			if n, _ := h.sent(advertisement, address(i, 0xd)); n != 0 {
				t.Errorf("denied address %d has %d advertisements", i, n)
			}
		}
	})
}

// TestHandOverClaimed has the peer answer for an address that only a prefix covers until
// this host is in charge again.
func TestHandOverClaimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2))
		target := netip.MustParseAddr("2001:db8::7")
		rs := static("2001:db8::/64")
		r := run(t, h, rs, "eth0")
		defer r.stop()
		r.asked(target, ndp.Answered)
		socket := h.open()
		sign := ndp.Sighting{Address: target, MAC: [6]byte{2, 9}, Advertisement: true, Override: true}
		socket.config.Sighted(sign)
		sign.Solicited = true
		for asked := 0; len(r.facts("eth0").Conflicts) == 0; time.Sleep(10 * time.Millisecond) {
			if n := socket.frames(); n > asked { // the peer answers
				asked = n
				socket.config.Sighted(sign)
			}
		}
		for _, now := range [][]rules.Rule{waiting(rs), rs} {
			if err := r.store.SetRules(now); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n, _ := h.sent(advertisement, target); n != 3 || len(r.facts("eth0").Conflicts) != 0 {
			t.Errorf("%d advertisements, want 3", n)
		}
	})
}
