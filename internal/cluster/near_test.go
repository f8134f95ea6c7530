// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// renewOn renews the lease of the other node, on a link with that prefix.
func (b *bench) renewOn(prefix string) {
	b.renewed++
	a := ownership.Announcer{Node: other, Weight: 1, Settled: true, Links: []ownership.Link{{
		MAC: otherMAC, Prefixes: []netip.Prefix{servicePrefix}, OnLink: []netip.Prefix{netip.MustParsePrefix(prefix)},
	}}}
	b.last().handler.Lease(k8swatch.Lease{Node: other, Holder: "h-" + other, Record: a.Record(), Renewed: b.renewed, Made: 50}, false)
	b.wait(0)
}

// TestByItself looks at a node that nobody is near to.
func TestByItself(t *testing.T) {
	t.Parallel()
	const n, far = 20, "2001:db8:9::/64"
	byItself := func(b *bench) {
		b.Helper()
		b.knowLeases()
		b.services(n)
		b.run(settleFor + 2*byItselfAfter)
		b.last().handler.Lease(k8swatch.Lease{Node: self, Holder: "h1"}, true)
		w := b.last()
		if s := b.Status(); !s.ByItself || w.withdrawn != 1 || w.announced {
			b.Fatalf("status %+v, withdrawn %d times", s, w.withdrawn)
		}
		b.wantAnswered("by itself", n, n)
	}
	tests := []struct {
		name string
		do   func(b *bench)
	}{
		{"not at once", func(b *bench) {
			b.knowLeases()
			b.services(n)
			b.run(byItselfAfter / 2)
			if b.Status().ByItself {
				b.Error("by itself")
			}
		}},
		{"it goes on, and is not frozen while the leases are followed", func(b *bench) {
			byItself(b)
			b.wait(time.Hour)
			b.wantAnswered("an hour later", n, n)
			s, e := b.Status(), b.Explain(service(0), rules.Services)
			if s.Frozen || s.Announcers != 1 || !e.ByItself || e.Owner != self {
				b.Errorf("status %+v, explained as %+v", s, e)
			}
			b.last().set(func() { b.last().away = true })
			b.wait(10 * time.Second)
			if !b.Status().Frozen {
				b.Error("not frozen while the server is away")
			}
			b.wantAnswered("while the server is away", n, n)
			b.last().set(func() { b.last().away = false })
			if b.Status().Frozen {
				b.Error("frozen when the server is back")
			}
		}},
		{"another one comes near", func(b *bench) {
			byItself(b)
			b.renew(other, otherMAC)
			if s := b.Status(); s.ByItself || !b.last().announced || s.Announcers != 2 {
				b.Errorf("status %+v", s)
			}
			b.run(2*byItselfAfter, other)
			if got := b.answered(n); got == 0 || got == n {
				b.Errorf("%d of %d are answered", got, n)
			}
			b.run(4 * byItselfAfter) // the other one is gone
			if s := b.Status(); !s.ByItself {
				b.Errorf("status %+v", s)
			}
			b.wantAnswered("when it is gone", n, n)
		}},
		{"one on another link does not count", func(b *bench) {
			b.renewOn(far)
			byItself(b)
			b.renewOn(far)
			if s := b.Status(); !s.ByItself || s.Announcers != 1 {
				b.Errorf("status %+v", s)
			}
		}},
		{"the other one moves away, and comes back", func(b *bench) {
			b.renew(other, otherMAC)
			b.knowLeases()
			b.services(n)
			b.run(settleFor+time.Second, other)
			b.renewOn(far)
			b.wait(ownership.HandOver)
			b.wantAnswered("without the other", n, n)
			b.renewOn(onLink.String())
			b.run(time.Second, other)
			if got := b.answered(n); got == 0 || got == n {
				b.Errorf("%d of %d are answered", got, n)
			}
		}},
		{"services of a link on which another Node is are not for this one", func(b *bench) {
			byItself(b)
			b.last().handler.NodeAddresses(map[netip.Addr]string{netip.MustParseAddr("2001:db8:1::9"): other})
			b.wantAnswered("on the same link", n, n)
			b.uplinks.record(func() {
				b.uplinks.links = []Link{{Name: uplink, MAC: selfMAC, OnLink: []netip.Prefix{netip.MustParsePrefix(far)}}}
			})
			b.UplinksChanged()
			b.wait(2 * ownership.HandOver)
			b.wantAnswered("from another link", n, 0)
			if e := b.Explain(service(0), rules.Services); e == nil || !strings.Contains(e.Silent, "on the link of other nodes") {
				b.Errorf("explained as %+v", e)
			}
			b.last().handler.NodeAddresses(nil)
			b.wantAnswered("without that Node", n, n)
		}},
		{"they are while another one that is near comes and goes, as nobody knows what is asked there", func(b *bench) {
			b.uplinks.record(func() {
				b.uplinks.links = []Link{{Name: uplink, MAC: selfMAC, OnLink: []netip.Prefix{netip.MustParsePrefix(far)}}}
			})
			b.UplinksChanged()
			b.last().handler.NodeAddresses(map[netip.Addr]string{netip.MustParseAddr("2001:db8:1::9"): "n9"})
			b.knowLeases()
			b.services(n)
			b.run(settleFor + byItselfAfter/2)
			b.wantAnswered("with nobody near", n, 0)
			for range 2 {
				for range 15 {
					b.renewOn(far)
					b.answerPresence(other)
					b.run(time.Second)
				}
				if got := b.answered(n); got == 0 || got == n {
					b.Errorf("%d of %d are answered beside another one", got, n)
				}
				b.last().handler.Lease(k8swatch.Lease{Node: other}, true)
				b.run(time.Second)
				b.wantAnswered("when it has gone", n, 0)
			}
		}},
		{"a link whose prefix is not known may be the one of another Node", func(b *bench) {
			b.uplinks.record(func() { b.uplinks.links[0].OnLink = nil })
			b.UplinksChanged()
			b.last().handler.NodeAddresses(map[netip.Addr]string{netip.MustParseAddr("2001:db8:1::9"): "n9"})
			b.knowLeases()
			b.services(n)
			b.renewSelf()
			b.wantAnswered("at once", n, n)
			b.run(settleFor + 2*byItselfAfter)
			b.wantAnswered("by itself", n, n)
		}},
		{"this node moves to the link of another", func(b *bench) {
			b.renewOn(far)
			byItself(b)
			b.uplinks.record(func() {
				b.uplinks.links = []Link{{Name: uplink, MAC: selfMAC, OnLink: []netip.Prefix{netip.MustParsePrefix(far)}}}
			})
			b.UplinksChanged()
			b.wait(0)
			if !b.last().announced {
				b.Error("who is there without a lease does not see it")
			}
			b.renewOn(far)
			if s := b.Status(); s.ByItself || s.Announcers != 2 || b.last().links == 0 {
				b.Errorf("status %+v", s)
			}
		}},
		{"this node moves to the link of one that has ended", func(b *bench) {
			b.renewOn(far)
			byItself(b)
			b.uplinks.record(func() {
				b.uplinks.links = []Link{{Name: uplink, MAC: selfMAC, OnLink: []netip.Prefix{netip.MustParsePrefix(far)}}}
			})
			b.UplinksChanged()
			b.wait(2 * ownership.HandOver)
			b.wantAnswered("on the new link", n, n)
		}},
		{"a lease that nobody renews", func(b *bench) {
			b.renew(other, otherMAC)
			byItself(b)
			b.last().handler.Lease(k8swatch.Lease{Node: other, Record: "{}", Renewed: b.renewed - 1}, true) // its Node is gone
			if s := b.Status(); !s.ByItself {
				b.Errorf("status %+v", s)
			}
		}},
		{"the leases may not be read", func(b *bench) {
			b.services(n)
			b.last().handler.Forbidden(k8swatch.SourceLeases, true)
			b.run(4 * byItselfAfter)
			if b.last().withdrawn != 0 {
				b.Error("by itself")
			}
		}},
		{"a reload", func(b *bench) {
			byItself(b)
			b.configure(func(c *config.Config) { c.Kubernetes.Weight = 2 })
			b.wantAnswered("after", n, n)
			if !b.last().announced || b.Status().ByItself {
				b.Error("it comes without a lease")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, tt.do)
		})
	}
}

// TestLinksOf asks by which links others choose our lease.
func TestLinksOf(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		h := b.last().handler
		if got := h.Links(); got.Unknown || got.Early || len(got.Names) != 1 || got.Names[0] != "2001-0db8-0001-0000" {
			t.Errorf("got %+v", got)
		}
		b.uplinks.record(func() { b.uplinks.links[0].OnLink = nil })
		b.UplinksChanged()
		b.wait(0)
		if got := h.Links(); !got.Unknown || !got.Early {
			t.Errorf("got %+v", got)
		}
		b.uplinks.record(func() { b.uplinks.links[0].OnLink = []netip.Prefix{netip.MustParsePrefix("2001:db8::/48")} })
		b.UplinksChanged()
		b.wait(0)
		if got := h.Links(); !got.Unknown || got.Early {
			t.Errorf("got %+v", got)
		}
	})
}
