// SPDX-License-Identifier: Apache-2.0

package ndp_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

const index = 2

func view(t testing.TB, rs []rules.Rule) *rules.View {
	t.Helper()
	table, err := rules.Compile(rs)
	if err != nil {
		t.Fatal(err)
	}
	return table.View("uplink")
}

// TestNoAllocation holds the hot path to its promise, for every frame of the
// table.
func TestNoAllocation(t *testing.T) {
	v, iface := view(t, conformance.Rules()), ndp.NewInterface(conformance.Link(index), rules.Uplink{})
	for _, c := range conformance.Cases() {
		frame, meta := c.Frame.Received(index)
		var reply ndp.Advertisement
		var s ndp.Solicitation
		if n := testing.AllocsPerRun(100, func() { ndp.Respond(&reply, &s, frame, meta, iface, v) }); n != 0 {
			t.Errorf("%s %s: %g allocations", c.ID, c.Name, n)
		}
	}
}

// TestOctetsOfReply shows where the octets of an answer come from: with the
// frame's other octets changed, the answer is the same.
func TestOctetsOfReply(t *testing.T) {
	t.Parallel()
	v, iface := view(t, conformance.Rules()), ndp.NewInterface(conformance.Link(index), rules.Uplink{})
	frame, meta := conformance.Solicitation(conformance.Pod).Received(index)
	var want ndp.Advertisement
	var s ndp.Solicitation
	if res := ndp.Respond(&want, &s, frame, meta, iface, v); res.Reason != ndp.Answered {
		t.Fatal(res.Reason)
	}
	meta.ChecksumPartial = true // the changes spoil it
	// Traffic class and flow label, the checksum, the reserved field.
	for _, i := range []int{15, 16, 17, 56, 57, 58, 59, 60, 61} {
		changed := append([]byte{}, frame...)
		changed[i] ^= 0x0f
		var got ndp.Advertisement
		if res := ndp.Respond(&got, &s, changed, meta, iface, v); res.Reason != ndp.Answered || got != want {
			t.Errorf("octet %d changes the answer: %s, % x", i, res.Reason, got)
		}
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	v, iface := view(t, conformance.Rules()), ndp.NewInterface(conformance.Link(index), rules.Uplink{})
	tests := []struct {
		target netip.Addr
		want   ndp.Reason
	}{
		{conformance.Pod, ndp.Answered},
		{conformance.Denied, ndp.Silent(rules.Denied)},
		{conformance.NodeAddr, ndp.OwnTarget},
		{netip.MustParseAddr("2001:db8:ffff::1"), ndp.NoRule},
		{netip.MustParseAddr("ff02::1"), ndp.TargetScope},
		{netip.MustParseAddr("fe80::1"), ndp.TargetScope},
	}
	for _, tt := range tests {
		if _, got := ndp.Decide(tt.target, iface, v); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.target, got, tt.want)
		}
	}
	bare := ndp.NewInterface(rules.Link{Index: index}, rules.Uplink{})
	if _, got := ndp.Decide(conformance.Pod, bare, v); got != ndp.NoSourceAddress {
		t.Errorf("without addresses: %s", got)
	}
}

// TestPresenceOfOthers answers for this node's presence and for no other
// link-local address, however wide a rule is.
func TestPresenceOfOthers(t *testing.T) {
	t.Parallel()
	own, other := rules.Presence("this"), rules.Presence("other")
	v := view(t, []rules.Rule{{Prefix: netip.MustParsePrefix("::/0"), Method: rules.Static}})
	iface := ndp.NewInterface(conformance.Link(index), rules.Uplink{Presence: own})
	for target, want := range map[netip.Addr]ndp.Reason{own: ndp.Answered, other: ndp.TargetScope} {
		frame, meta := conformance.Solicitation(target).Received(index)
		var reply ndp.Advertisement
		var s ndp.Solicitation
		if res := ndp.Respond(&reply, &s, frame, meta, iface, v); res.Reason != want {
			t.Errorf("%s: %s, want %s", target, res.Reason, want)
		}
	}
}

// TestFacts finds everything that an answer is made from in the facts.
func TestFacts(t *testing.T) {
	t.Parallel()
	hop := netip.MustParseAddr("fe80::1")
	link := conformance.Link(index)
	plain := ndp.NewInterface(link, rules.Uplink{Interface: "uplink", LimitPerAsker: 7})
	iface := plain.WithNextHops([]netip.Addr{hop})
	f := iface.Facts()
	if len(plain.Facts().NextHops) != 0 || len(f.NextHops) != 1 || f.NextHops[0] != hop {
		t.Errorf("next hops are %v, and %v before", f.NextHops, plain.Facts().NextHops)
	}
	if f.Index != index || f.MAC != link.MAC || f.Uplink.LimitPerAsker != 7 || len(f.Addresses) != len(link.Addresses) || len(f.Sources) == 0 || !f.Fallback.IsValid() {
		t.Errorf("facts are %+v", f)
	}
	// An answer without its addresses, target, flag and checksum is the template.
	frame, meta := conformance.Solicitation(conformance.Pod).Received(index)
	var reply ndp.Advertisement
	var s ndp.Solicitation
	if res := ndp.Respond(&reply, &s, frame, meta, iface, view(t, conformance.Rules())); res.Reason != ndp.Answered {
		t.Fatal(res.Reason)
	}
	clear(reply[:6])    // Ethernet destination
	clear(reply[22:54]) // source and destination
	clear(reply[56:58]) // checksum
	clear(reply[62:78]) // target
	reply[58] &^= 0x40  // Solicited
	if reply != f.Template {
		t.Errorf("the rest of the answer is\n% x, want\n% x", reply, f.Template)
	}
}

// FuzzRespond checks whatever comes back with the independent decoder.
func FuzzRespond(f *testing.F) {
	for _, c := range conformance.Cases() {
		frame, meta := c.Frame.Received(index)
		f.Add(frame, uint8(meta.Type), meta.VLAN, meta.ChecksumPartial)
	}
	v, iface := view(f, conformance.Rules()), ndp.NewInterface(conformance.Link(index), rules.Uplink{})
	f.Fuzz(func(t *testing.T, frame []byte, kind uint8, vlan uint16, partial bool) {
		var reply ndp.Advertisement
		var s ndp.Solicitation
		res := ndp.Respond(&reply, &s, frame, ndp.Meta{Type: ndp.PacketType(kind), Index: index, VLAN: vlan, ChecksumPartial: partial}, iface, v)
		if res.Reason != ndp.Answered {
			if reply != (ndp.Advertisement{}) {
				t.Fatalf("%s, and a reply: % x", res.Reason, reply)
			}
			return
		}
		a, err := conformance.Decode(reply[:])
		if err != nil {
			t.Fatalf("%v in % x", err, reply)
		}
		target, source := netip.AddrFrom16([16]byte(frame[62:78])), netip.AddrFrom16([16]byte(frame[22:38]))
		want := conformance.Advertisement{
			EtherDst: a.EtherDst, EtherSrc: conformance.NodeMAC, Source: a.Source, Dest: source,
			Target: target, Router: true, Solicited: true, TargetLink: conformance.NodeMAC,
		}
		if res.Kind == ndp.DAD {
			want.Dest, want.Solicited = netip.MustParseAddr("ff02::1"), false
			want.EtherDst = [6]byte{0x33, 0x33, 0, 0, 0, 1}
		} else if a.EtherDst[0]&1 != 0 || a.EtherDst == [6]byte{} {
			t.Fatalf("the answer goes to %x", a.EtherDst)
		}
		if a != want {
			t.Fatalf("the answer is\n%+v, want\n%+v", a, want)
		}
		if a.Source != conformance.NodeAddr && a.Source != conformance.NodeLinkLocal {
			t.Fatalf("the answer comes from %s", a.Source)
		}
		if !conformance.PodPrefix.Contains(target) && !netip.MustParsePrefix("2001:db8:1:0:a::/80").Contains(target) {
			t.Fatalf("answered for %s", target)
		}
	})
}

// BenchmarkRespond measures the responder alone: all of the validation, the
// lookup, and the answer with its checksum.
func BenchmarkRespond(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		rs := make([]rules.Rule, n)
		frames := make([][]byte, 1024)
		for i := range rs {
			a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 1, byte(i >> 16), byte(i >> 8), byte(i)})
			rs[i] = rules.Rule{Prefix: netip.PrefixFrom(a, 64), Method: rules.Static}
		}
		for i := range frames {
			target := rs[i*(n/1024+1)%n].Prefix.Addr().As16()
			target[15] = byte(i)
			frames[i], _ = conformance.Solicitation(netip.AddrFrom16(target)).Received(index)
		}
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			v, iface := view(b, rs), ndp.NewInterface(conformance.Link(index), rules.Uplink{})
			var reply ndp.Advertisement
			var s ndp.Solicitation
			meta := ndp.Meta{Type: ndp.PacketMulticast, Index: index}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if res := ndp.Respond(&reply, &s, frames[i&1023], meta, iface, v); res.Reason != ndp.Answered {
					b.Fatal(res.Reason)
				}
				i++
			}
		})
	}
}

// BenchmarkRespondShared measures an address with a host route, alone and inside of a
// prefix that the uplink shares with a device behind the node.
func BenchmarkRespondShared(b *testing.B) {
	target, link := netip.MustParseAddr("2001:db8:1:0:f::5"), netip.MustParsePrefix("2001:db8:1::/64")
	behind := func(p netip.Prefix) rules.Entry {
		return rules.Entry{Prefix: p, Behind: true, Forwarded: true, Neighbor: true, Device: 7}
	}
	for _, shared := range []bool{false, true} {
		b.Run(fmt.Sprintf("shared=%t", shared), func(b *testing.B) {
			var store rules.Store
			if err := store.SetRules([]rules.Rule{{Prefix: link, Method: rules.Route}}); err != nil {
				b.Fatal(err)
			}
			entries := []rules.EntryChange{{Entry: behind(netip.PrefixFrom(target, 128))}}
			if shared {
				store.SetOnLink("uplink", []netip.Prefix{link})
				entries = append(entries, rules.EntryChange{Entry: behind(link)})
			}
			store.Update(rules.Kernel, entries)
			frame, _ := conformance.Solicitation(target).Received(index)
			v, iface := store.Load().View("uplink"), ndp.NewInterface(conformance.Link(index), rules.Uplink{})
			var reply ndp.Advertisement
			var s ndp.Solicitation
			meta := ndp.Meta{Type: ndp.PacketMulticast, Index: index}
			b.ReportAllocs()
			for b.Loop() {
				if res := ndp.Respond(&reply, &s, frame, meta, iface, v); res.Reason != ndp.Answered {
					b.Fatal(res.Reason)
				}
			}
		})
	}
}
