// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// flooded is a receive loop without a socket, and what it has sent.
type flooded struct {
	lp       *loop
	iface    *Interface
	view     *rules.View
	answered map[netip.Addr]bool // targets
	toAll    int                 // frames to all nodes
}

func newFlooded(t *testing.T, iface *Interface, rs ...rules.Rule) *flooded {
	t.Helper()
	table, err := rules.Compile(rs)
	if err != nil {
		t.Fatal(err)
	}
	l := &Listener{counters: new(Counters), recent: new(Recent), sighted: func(Sighting) {}, ask: func(Query) bool { return false }}
	f := &flooded{lp: &loop{l: l, fd: -1, batch: newBatch(), started: time.Now()}, iface: iface, view: table.View(""), answered: make(map[netip.Addr]bool)}
	f.lp.records.recent = l.recent
	l.iface.Store(f.iface)
	l.view.Store(f.view)
	return f
}

// hear lets the loop receive a frame, and does what is due.
func (f *flooded) hear(frame []byte) {
	f.lp.clock = f.lp.now()
	f.lp.rx = received{meta: Meta{Type: PacketMulticast, Index: 2, ChecksumPartial: true}, at: time.Now().UnixNano()}
	f.lp.take(frame, f.iface, f.view)
	f.collect()
	f.lp.sendDue()
	f.collect()
}

func (f *flooded) collect() {
	for i := range f.lp.batch.n {
		frame := f.lp.batch.frames[i][:]
		f.answered[ipAt(frame, offTarget)] = true
		if macAt(frame, offEtherDst) == allNodesMAC {
			f.toAll++
		}
	}
	f.lp.batch.n = 0
}

// solicit returns a solicitation, without a checksum.
func solicit(mac [6]byte, source, target netip.Addr, dad bool) []byte {
	b := make([]byte, offOptions+8)
	group := SolicitedNode(groupOf(target))
	groupEther := groupMAC(group)
	copy(b[offEtherDst:], groupEther[:])
	copy(b[offEtherSrc:], mac[:])
	binary.BigEndian.PutUint16(b[offEtherType:], etherTypeIPv6)
	b[offIP], b[offNextHeader], b[offHopLimit], b[offICMP] = 6<<4, protoICMPv6, hopLimit, typeSolicitation
	b[offOptions], b[offOptions+1] = optSourceLinkAddr, 1
	copy(b[offOptions+2:], mac[:])
	if dad {
		source, b = netip.IPv6Unspecified(), b[:offOptions]
	}
	binary.BigEndian.PutUint16(b[offPayloadLen:], uint16(len(b)-offICMP))
	for off, a := range map[int]netip.Addr{offSource: source, offDest: group, offTarget: target} {
		as := a.As16()
		copy(b[off:], as[:])
	}
	return b
}

// forged returns solicitations in which everything is made up but what is given.
func forged(n int, mac *[6]byte, source string, dad bool) []byte {
	m, from := [6]byte{2, 1, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, behind(9, n)
	if mac != nil {
		m = *mac
	}
	if source != "" {
		from = netip.MustParseAddr(source)
	}
	return solicit(m, from, behind(2, n), dad)
}

// behind returns one of many addresses behind the node.
func behind(subnet byte, n int) netip.Addr {
	b := [16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 5: 1, 7: subnet}
	b[12], b[13], b[14], b[15] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return netip.AddrFrom16(b)
}

// TestFloods has an honest station ask for an address every 50 ms, for each once,
// while forged solicitations come in. None of the honest ones may be lost.
func TestFloods(t *testing.T) {
	t.Parallel()
	router, routerMAC := "2001:db8::ff", [6]byte{2, 0, 0, 0, 0, 0xff}
	plain := rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Method: rules.Static}
	delayed := plain
	delayed.Delay = rules.MaxDelay
	tests := []struct {
		name   string
		rule   rules.Rule
		limit  int
		bridge bool
		rate   int  // forged solicitations a second
		dad    bool // both ask by duplicate address detection
		mac    *[6]byte
		source string
		honest int
		toAll  int // the most frames to all nodes, in a second and at once
	}{
		{name: "delay", rule: delayed, rate: 20_000, honest: 50},
		{name: "delay and duplicate address detection", rule: delayed, rate: 20_000, dad: true, honest: 50, toAll: multicastRate},
		{name: "duplicate address detection on a bridge", rule: plain, bridge: true, rate: 20_000, dad: true, honest: 50, toAll: multicastRate},
		{name: "the same with a delay", rule: delayed, bridge: true, rate: 20_000, dad: true, honest: 50, toAll: multicastRate},
		{name: "duplicate address detection", rule: plain, rate: 5000, dad: true, honest: 40, toAll: multicastRate},
		{name: "limit, made-up stations", rule: plain, limit: 20, rate: 5000, honest: 80},
		{name: "limit, the router's MAC address", rule: plain, limit: 20, rate: 5000, mac: &routerMAC, honest: 80},
		{name: "limit, the router's address", rule: plain, limit: 20, rate: 5000, source: router, honest: 80},
		{name: "limit, both of them", rule: plain, limit: 20, rate: 5000, mac: &routerMAC, source: router, honest: 80},
		{name: "limit, duplicate address detection in its name", rule: plain, limit: 20, rate: 5000, mac: &routerMAC, dad: true, honest: 40, toAll: multicastRate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				iface := NewInterface(rules.Link{
					Index: 2, MAC: [6]byte{2, 0, 0, 0, 0, 1}, Bridge: tt.bridge,
					Addresses: []rules.LinkAddress{{Prefix: netip.MustParsePrefix("fe80::1/64"), Usable: true}},
				}, rules.Uplink{LimitPerAsker: tt.limit}).WithNextHops([]netip.Addr{netip.MustParseAddr(router)})
				f := newFlooded(t, iface, tt.rule)
				began := time.Now()
				n := 0
				flood := func(d time.Duration) {
					for step := time.Second / time.Duration(tt.rate); d > 0; d -= step {
						f.hear(forged(n, tt.mac, tt.source, tt.dad))
						n++
						time.Sleep(step)
					}
				}
				flood(time.Second)
				for i := range tt.honest {
					f.hear(solicit(routerMAC, netip.MustParseAddr(router), behind(1, i), tt.dad))
					flood(50*time.Millisecond + time.Duration(i)*300*time.Microsecond) // not in step with a bucket
				}
				flood(rules.MaxDelay + bridgeHold)
				got := 0
				for i := range tt.honest {
					if f.answered[behind(1, i)] {
						got++
					}
				}
				if got != tt.honest {
					t.Errorf("%d of %d honest solicitations were answered", got, tt.honest)
				}
				if most := tt.toAll * (int(time.Since(began)/time.Second) + 2); f.toAll > most {
					t.Errorf("%d frames went to all nodes, want at most %d", f.toAll, most)
				}
			})
		})
	}
}

// TestPresenceApart hears other daemons ask for this one's presence: that is counted as
// a kind of its own, and leaves no record and no duration.
func TestPresenceApart(t *testing.T) {
	t.Parallel()
	if p := netip.PrefixFrom(netip.AddrFrom16([16]byte([]byte(presenceOctets+"\x00\x00\x00\x00"))), 8*len(presenceOctets)); p != rules.PresencePrefix() {
		t.Fatalf("presenceOctets are of %s, want %s", p, rules.PresencePrefix())
	}
	own, other := rules.Presence("this"), rules.Presence("other")
	iface := NewInterface(rules.Link{
		Index: 2, MAC: [6]byte{2, 0, 0, 0, 0, 1}, Addresses: []rules.LinkAddress{{Prefix: netip.MustParsePrefix("fe80::1/64"), Usable: true}},
	}, rules.Uplink{Presence: own})
	asker := netip.MustParseAddr("fe80::2")
	for name, tt := range map[string]struct {
		target   netip.Addr
		dad      bool
		kind     Kind
		answered uint64
		records  int
	}{
		"this daemon's presence":                  {own, false, Presence, 1, 0},
		"another daemon's presence":               {other, false, Presence, 0, 0},
		"duplicate address detection of presence": {own, true, DAD, 1, 1},
		"an address of a rule":                    {behind(2, 1), false, Multicast, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFlooded(t, iface, rules.Rule{Prefix: netip.MustParsePrefix("::/0"), Method: rules.Static})
			c := f.lp.l.counters
			frame := solicit([6]byte{2, 1, 0, 0, 0, 1}, asker, tt.target, tt.dad)
			f.lp.rx = received{meta: Meta{Type: PacketMulticast, Index: 2, ChecksumPartial: true}, at: time.Now().UnixNano()}
			f.lp.take(frame, f.iface, f.view)
			for i := range f.lp.batch.n {
				c.answered(f.lp.batch.kinds[i], 1)
			}
			f.lp.records.flush()
			for _, k := range Kinds() {
				received, answered := uint64(0), uint64(0)
				if k == tt.kind {
					received, answered = 1, tt.answered
				}
				if r, a := c.Received[k].Load(), c.Answered[k].Load(); r != received || a != answered {
					t.Errorf("%s: %d received and %d answered, want %d and %d", k, r, a, received, answered)
				}
			}
			durations, _, _ := c.Duration.Snapshot()
			if want := tt.records; int(durations) != want {
				t.Errorf("%d durations, want %d", durations, want)
			}
			if records, _, _ := f.lp.l.recent.Since(0); len(records) != tt.records {
				t.Errorf("%d records, want %d", len(records), tt.records)
			}
		})
	}
}

// TestSignFlood hears 20,000 forged advertisements a second, and hands few of them
// on; those of other daemons do not count among them.
func TestSignFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		own := rules.Presence("this")
		iface := NewInterface(rules.Link{
			Index: 2, MAC: [6]byte{2, 0, 0, 0, 0, 1}, Addresses: []rules.LinkAddress{{Prefix: netip.MustParsePrefix("fe80::1/64"), Usable: true}},
		}, rules.Uplink{Presence: own})
		f := newFlooded(t, iface, rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Method: rules.Static})
		signs, peers := 0, 0
		peer := rules.Presence("other")
		f.lp.l.sighted = func(s Sighting) {
			if s.Address == peer {
				peers++
				return
			}
			signs++
		}
		advertise := func(target netip.Addr, n int, solicited bool) {
			frame := solicit([6]byte{2, 1, 0, byte(n >> 16), byte(n >> 8), byte(n)}, behind(9, n), target, false)
			frame[offICMP], frame[offFlags], frame[offOptions] = typeAdvertisement, flagOverride, optTargetLinkAddr
			if dest := iface.facts.Fallback.As16(); solicited {
				frame[offFlags] |= flagSolicited
				copy(frame[offDest:], dest[:])
			}
			f.hear(frame)
		}
		const rate, seconds = 20_000, 2
		for n := range rate * seconds {
			advertise(behind(2, n), n, n%2 == 0)
			if n%1000 == 0 {
				advertise(peer, n, false)
			}
			time.Sleep(time.Second / rate)
		}
		if most := 2 * signRate * (seconds + 1); signs < signRate || signs > most {
			t.Errorf("%d of %d signs were handed on, want at most %d", signs, rate*seconds, most)
		}
		if want := rate * seconds / 1000; peers != want {
			t.Errorf("%d of %d signs of another daemon were handed on", peers, want)
		}
	})
}
