// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// sighted takes a sign in as an uplink does, and reports whether it is a rival's to tell.
func (b *bench) sighted(sign ndp.Sighting) bool {
	return !b.Heard(uplink, sign) && b.Rival(uplink, sign)
}

// joining makes another node an announcer that owns nothing, so that all is this node's.
func (b *bench) joining(node, holder string, mac [6]byte) {
	b.renewed++
	a := ownership.Announcer{Node: node, Joining: true, Links: []ownership.Link{{MAC: mac, Prefixes: []netip.Prefix{servicePrefix}, OnLink: []netip.Prefix{onLink}}}}
	b.last().handler.Lease(k8swatch.Lease{Node: node, Holder: holder, Record: a.Record(), Renewed: b.renewed, Made: 50}, false)
	b.wait(0)
}

// TestRival lets other stations answer for an address of ours as a proxy does, and again
// after a while.
func TestRival(t *testing.T) {
	t.Parallel()
	stranger := [6]byte{2, 0, 0, 0, 0, 9}
	proxied := ndp.Sighting{Address: service(0), MAC: stranger, Advertisement: true, Solicited: true}
	with := func(f func(*ndp.Sighting)) ndp.Sighting { s := proxied; f(&s); return s }
	ofNode := with(func(s *ndp.Sighting) { s.MAC = otherMAC })
	tests := []struct {
		name  string
		sign  ndp.Sighting
		until time.Duration  // the sign after this time is the last one
		mid   func(b *bench) // in the middle of it
		want  bool
	}{
		{name: "a proxy", sign: proxied, until: rivalAfter, want: true},
		{name: "a proxy for less", sign: proxied, until: rivalAfter - time.Second},
		{name: "who overrides", sign: with(func(s *ndp.Sighting) { s.Override = true }), until: rivalAfter},
		{name: "who was not asked", sign: with(func(s *ndp.Sighting) { s.Solicited = false }), until: rivalAfter},
		{name: "who asks", sign: with(func(s *ndp.Sighting) { s.Advertisement = false }), until: rivalAfter},
		{name: "an address of nobody", sign: with(func(s *ndp.Sighting) { s.Address = service(99) }), until: rivalAfter},
		{name: "an uplink of ours", sign: with(func(s *ndp.Sighting) { s.MAC = selfMAC }), until: rivalAfter},
		{name: "another program on a node", sign: ofNode, until: rivalAfter, want: true},
		{name: "another node for less", sign: ofNode, until: rivalAfter - time.Second},
		{name: "a daemon whose lease is read meanwhile", sign: proxied, until: rivalAfter, mid: func(b *bench) { b.joining("n9", "h", stranger) }},
		{name: "a daemon that begins anew", sign: ofNode, until: rivalAfter, mid: func(b *bench) { b.joining(other, "h2", otherMAC) }},
		{name: "a daemon whose lease has just ended", sign: ofNode, until: rivalAfter, mid: func(b *bench) {
			b.last().handler.Lease(k8swatch.Lease{Node: other}, true)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bench) {
				b.knowLeases()
				b.services(3)
				b.joining(other, "h", otherMAC)
				b.renewSelf()
				if b.sighted(tt.sign) {
					t.Error("told at once")
				}
				b.wait(tt.until / 2)
				b.renewSelf()
				if tt.mid != nil {
					tt.mid(b)
				}
				b.wait(tt.until - tt.until/2)
				b.renewSelf()
				if got := b.sighted(tt.sign); got != tt.want {
					t.Errorf("got %t", got)
				}
				if got := slices.Contains(b.last().reasons(), "AddressShared"); got != tt.want {
					t.Errorf("an Event: %t", got)
				}
				if es := b.last().events; tt.want && tt.sign == ofNode && !strings.Contains(es[len(es)-1].Message, "(node "+other+")") {
					t.Errorf("Events %+v", es)
				}
			})
		})
	}
	t.Run("one line a minute and uplink", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(b *bench) {
			b.knowLeases()
			b.services(3)
			b.renewSelf()
			for range 120 {
				b.renewSelf()
				for i := range 30 {
					b.Rival(uplink, with(func(s *ndp.Sighting) { s.Address = service(i % 3) }))
				}
				b.wait(time.Second)
			}
			if lines, events := b.log.count("answers for a service address"), len(b.last().reasons()); lines != 2 || events != 6 {
				t.Errorf("%d lines and %d Events", lines, events)
			}
		})
	})
}

// TestRivalIsAsked wants a station that has answered to be asked again when it is time
// to report it, and the link to be asked for each address of this node now and then.
func TestRivalIsAsked(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		const n = 5
		b.knowLeases()
		b.services(n)
		b.renewSelf()
		b.wait(time.Second)
		asked := func() map[netip.Addr]int {
			counts := make(map[netip.Addr]int)
			b.uplinks.record(func() {
				for _, a := range b.uplinks.asked {
					counts[a]++
				}
				b.uplinks.asked = nil
			})
			return counts
		}
		asked()
		for range 60 {
			b.renewSelf()
			b.wait(time.Second)
		}
		rounds := asked()
		for i := range n {
			if got := rounds[service(i)]; got < 4 || got > 7 {
				t.Errorf("%s was asked for %d times in a minute", service(i), got)
			}
		}
		b.Rival(uplink, ndp.Sighting{Address: service(0), MAC: otherMAC, Advertisement: true, Solicited: true})
		for range 15 {
			b.renewSelf()
			b.wait(time.Second)
		}
		if got := asked()[service(0)]; got < rivalAsks+1 {
			t.Errorf("asked %d times about a rival", got)
		}
	})
}

// TestContest has another program on an announcer's node announce an address of ours and
// go on to answer for it: it is left to it, alone, and told of.
func TestContest(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		const n = 40
		b.renew(other, otherMAC)
		b.knowLeases()
		b.services(n)
		b.run(settleFor+time.Second, other)
		var a netip.Addr
		owned := b.answered(n)
		for i := range n {
			if b.Owns(service(i)) {
				a = service(i)
			}
		}
		b.announce(a)
		for range 200 { // it answers whenever it is asked
			b.run(100*time.Millisecond, other)
			b.Heard(uplink, ndp.Sighting{Address: a, MAC: otherMAC, Advertisement: true, Solicited: true})
		}
		b.wantAnswered("beside the other program", n, owned-1)
		if s := b.Status(); !s.Settled {
			t.Error("the node settles anew")
		}
		if rs := b.last().reasons(); !slices.Contains(rs, "AddressShared") {
			t.Errorf("Events %v", rs)
		}
		b.last().handler.Known(k8swatch.SourceNodeAddresses, true)
		b.uplinks.record(func() { b.uplinks.links[0].Addresses = []netip.Addr{a} })
		b.UplinksChanged()
		b.wait(0)
		if rs := b.last().reasons(); !slices.Contains(rs, "AddressConflict") {
			t.Errorf("nothing tells that an uplink has the address: Events %v", rs)
		}
	})
}
