// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// sharing is a cluster whose services are all addresses, and which asks for those that
// were not announced yet.
type sharing struct {
	noCluster

	mu        sync.Mutex
	announced map[netip.Addr]bool
	conflicts int
}

func (s *sharing) Asks(_ string, a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.announced[a]
}

func (s *sharing) Announced(_ string, a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.announced == nil {
		s.announced = make(map[netip.Addr]bool)
	}
	s.announced[a] = true
}

func (s *sharing) Shares(netip.Addr) bool { return true }

func (s *sharing) Conflict(netip.Addr, [6]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conflicts++
}

// about returns which messages about an address a socket has sent: "?" for a
// solicitation, "!" for an advertisement.
func (r *responder) about(a netip.Addr) (messages string) {
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	for _, f := range r.sent {
		const offICMP, offTarget = 54, 62
		if netip.AddrFrom16([16]byte(f[offTarget:offTarget+16])) != a {
			continue
		}
		messages += map[byte]string{135: "?", 136: "!"}[f[offICMP]]
	}
	return messages
}

// TestInquiry has a service address appear on this node, and stations that have it or
// not. The link is asked before the first announcement, and a station that has the
// address keeps it.
func TestInquiry(t *testing.T) {
	t.Parallel()
	target := netip.MustParseAddr("2001:db8::5")
	entry := func(e rules.Entry) rules.EntryChange {
		e.Prefix = netip.PrefixFrom(target, 128)
		return rules.EntryChange{Entry: e}
	}
	others, ours := entry(rules.Entry{}), entry(rules.Entry{Behind: true, Chosen: true})
	gone := entry(rules.Entry{})
	gone.Gone = true
	station := ndp.Sighting{Address: target, MAC: [6]byte{2, 9}, Advertisement: true, Override: true, Solicited: true}
	proxy := station
	proxy.Override = false
	detecting := ndp.Sighting{Address: target, MAC: [6]byte{2, 9}, Tentative: true}
	tests := []struct {
		name    string
		begin   []rules.EntryChange
		known   bool          // the address was announced before
		answers *ndp.Sighting // to each question
		sign    *ndp.Sighting // that comes first
		soon    string        // messages within 200 ms
		within  string        // and within 10 s
		claimed bool          // the address is left to the station
		own     bool          // the interface has it
		end     []rules.EntryChange
	}{
		{name: "new", begin: []rules.EntryChange{ours}, soon: "??", within: "??!!!"},
		{name: "new, and known", begin: []rules.EntryChange{ours}, known: true, soon: "!", within: "!!!"},
		{name: "from another node", begin: []rules.EntryChange{others, ours}, soon: "?!", within: "?!!!"},
		{name: "from another node, and known", begin: []rules.EntryChange{others, ours}, known: true, soon: "!", within: "!!!"},
		{name: "a station has it", begin: []rules.EntryChange{ours}, answers: &station, claimed: true},
		{name: "a station has what comes from another node", begin: []rules.EntryChange{others, ours}, answers: &station, claimed: true},
		{name: "a proxy answers", begin: []rules.EntryChange{ours}, answers: &proxy, soon: "??", within: "??!!!"},
		{name: "a station looks for duplicates meanwhile", begin: []rules.EntryChange{ours}, sign: &detecting, soon: "?", within: "??!!!"},
		{name: "gone again", begin: []rules.EntryChange{ours}, end: []rules.EntryChange{gone}, soon: "?", within: "?"},
		{name: "the interface has it", begin: []rules.EntryChange{ours}, own: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := new(sharing)
				if tt.known {
					c.Announced("eth0", target)
				}
				link := up("eth0", 2)
				if tt.own {
					link.Addresses = append(slices.Clone(link.Addresses), rules.LinkAddress{Prefix: netip.PrefixFrom(target, 64), Usable: true})
				}
				h := newHost(link)
				h.cluster = c
				r := run(t, h, []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Services}}, "eth0")
				defer r.stop()
				socket := h.open()
				for _, e := range tt.begin {
					r.store.Update(rules.ServiceAddresses, []rules.EntryChange{e})
				}
				synctest.Wait()
				if tt.sign != nil {
					socket.config.Sighted(*tt.sign)
				}
				r.store.Update(rules.ServiceAddresses, tt.end)
				answered := 0
				for at := time.Duration(0); at < 10*time.Second; at += 10 * time.Millisecond {
					synctest.Wait()
					asked := 0
					for _, m := range socket.about(target) {
						if m == '?' {
							asked++
						}
					}
					if tt.answers != nil && asked > answered {
						answered = asked
						socket.config.Sighted(*tt.answers)
					}
					time.Sleep(10 * time.Millisecond)
					if at == 200*time.Millisecond {
						if got := socket.about(target); got != tt.soon && !tt.claimed { // whose claim is asked for at random
							t.Errorf("at first %s, want %s", got, tt.soon)
						}
					}
				}
				synctest.Wait()
				if got := socket.about(target); got != tt.within && !tt.claimed {
					t.Errorf("%s, want %s", got, tt.within)
				} else if tt.claimed && (slices.Contains([]byte(got), '!') || len(r.facts("eth0").Conflicts) != 1 || c.conflicts != 1) {
					t.Errorf("%s, conflicts %v, of which the cluster heard %d", got, r.facts("eth0").Conflicts, c.conflicts)
				}
			})
		})
	}
}

// TestInquiryRate asks for many addresses, at most as fast as it announces them, and
// announces each.
func TestInquiryRate(t *testing.T) {
	t.Parallel()
	const n = 500
	for _, tt := range []struct {
		name   string
		before bool // another node had them
		least  time.Duration
	}{{"new", false, 4500 * time.Millisecond}, {"from another node", true, 450 * time.Millisecond}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHost(up("eth0", 2))
				c := new(sharing)
				h.cluster = c
				r := run(t, h, []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Services}}, "eth0")
				defer r.stop()
				all := func(behind bool) {
					var es []rules.EntryChange
					for i := range n {
						a := netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 14: byte(i >> 8), 15: byte(i)})
						es = append(es, rules.EntryChange{Entry: rules.Entry{Prefix: netip.PrefixFrom(a, 128), Behind: behind}})
					}
					r.store.Update(rules.ServiceAddresses, es)
					synctest.Wait()
				}
				if tt.before {
					all(false)
				}
				begin := time.Now()
				all(true)
				count := func() int {
					c.mu.Lock()
					defer c.mu.Unlock()
					return len(c.announced)
				}
				for count() < n && time.Since(begin) < time.Minute {
					time.Sleep(10 * time.Millisecond)
					synctest.Wait()
				}
				if took := time.Since(begin); count() != n || took < tt.least {
					t.Errorf("%d addresses were announced within %s, want %d in %s at least", count(), took, n, tt.least)
				}
			})
		})
	}
}
