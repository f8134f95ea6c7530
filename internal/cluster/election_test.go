// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// forbidden is what the server says without a permission.
func forbidden() error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "leases"}, "", errors.New("no"))
}

// TestElection follows services through an election into the store, and to the
// uplinks.
func TestElection(t *testing.T) {
	t.Parallel()
	const n = 40
	join := func(b *bench) { // alone
		b.knowLeases()
		b.services(n)
		b.renewSelf()
	}
	tests := []struct {
		name string
		do   func(b *bench)
	}{
		{"nothing is answered before the leases are known", func(b *bench) {
			b.services(n)
			b.wantAnswered("before", n, 0)
			b.wantPresence("before", netip.Addr{})
			b.knowLeases()
			b.wantAnswered("after", n, n)
			b.wantPresence("after", rules.Presence(self))
			if !b.last().announced || !b.Owns(service(0)) {
				b.Error("the lease is not written")
			}
		}},
		{"a node that comes waits before it takes its share", func(b *bench) {
			b.renew(other, otherMAC)
			b.knowLeases()
			b.services(n)
			b.run(settleFor-time.Second, other)
			b.wantAnswered("before it has settled", n, 0)
			b.run(2*time.Second, other)
			if got := b.answered(n); got == 0 || got == n {
				b.Errorf("%d of %d are answered here", got, n)
			}
		}},
		{"takeover when a lease ends", func(b *bench) {
			b.renew(other, otherMAC)
			b.knowLeases()
			b.services(n)
			b.run(settleFor+time.Second, other)
			b.run(15 * time.Second) // which it neither renews its lease in nor answers
			b.wantAnswered("after", n, n)
			if s := b.Status(); s.OwnerChanges == 0 || s.Announcers != 1 || !slices.Contains(b.last().reasons(), "ServiceAddressesTakenOver") {
				b.Errorf("status %+v, Events %v", s, b.last().reasons())
			}
		}},
		{"takeover when a node is silent on the link, and the server is away", func(b *bench) {
			b.renew(other, otherMAC)
			b.knowLeases()
			b.services(n)
			b.run(settleFor+time.Second, other)
			b.wait(9 * time.Second) // no lease is seen
			b.wantAnswered("after", n, n)
			if s := b.Status(); !s.Frozen || !slices.Contains(b.uplinks.asked, rules.Presence(other)) {
				b.Errorf("status %+v, asked for %v", s, b.uplinks.asked)
			}
		}},
		{"an address is held until its next owner announces it", func(b *bench) {
			join(b)
			b.wantAnswered("alone", n, n)
			b.renew(other, otherMAC)
			b.wantAnswered("at once", n, n)
			leaving := b.leaving(n)
			given := len(leaving)
			if given == 0 || given == n {
				b.Fatalf("%d of %d are leaving", given, n)
			}
			if a := leaving[0]; !b.announce(a) {
				b.Errorf("the announcement of %s is left to the uplink", a)
			}
			b.wantAnswered("after the first announcement", n, n-1)
			b.wait(ownership.HandOver)
			b.wantAnswered("after the handover", n, n-given)
		}},
		{"the leases may not be read", func(b *bench) {
			b.services(n)
			b.last().handler.Forbidden(k8swatch.SourceLeases, true)
			b.wait(0)
			b.wantAnswered("alone", n, n)
			if s := b.Status(); !s.Alone || b.Waits() != nil {
				b.Errorf("status %+v, waits for %v", s, b.Waits())
			}
		}},
		{"our lease may never be written", func(b *bench) {
			join := func() { b.knowLeases(); b.services(n) }
			join()
			b.last().handler.Renewed(forbidden())
			b.wait(0)
			b.wantAnswered("nobody knows of us", n, 0)
		}},
		{"a Local policy without an endpoint here", func(b *bench) {
			b.knowLeases()
			b.services(n, func(c *k8swatch.AddressChange) { c.Local = true })
			b.wantAnswered("before", n, 0)
			b.last().handler.Forbidden(k8swatch.SourceEndpointSlices, true)
			b.wait(0)
			b.wantAnswered("where endpoints may not be read", n, n)
		}},
		{"the uplink is lost, and comes back", func(b *bench) {
			join(b)
			links := b.uplinks.links
			b.uplinks.record(func() { b.uplinks.links = nil })
			b.UplinksChanged()
			b.wait(0)
			b.wantAnswered("without an uplink", n, 0)
			b.wantPresence("without an uplink", netip.Addr{})
			b.uplinks.record(func() { b.uplinks.links = links })
			b.UplinksChanged()
			b.wait(0)
			b.wantAnswered("back", n, n)
		}},
		{"the node is not fit", func(b *bench) {
			b.renew(other, otherMAC)
			b.knowLeases()
			b.services(n)
			b.run(settleFor+time.Second, other)
			b.last().handler.Node(k8swatch.NodeState{Excluded: "label"})
			b.run(2*time.Second, other)
			b.wantAnswered("after", n, 0)
			if s := b.Status(); s.Unfit != "label" {
				b.Errorf("status %+v", s)
			}
		}},
		{"every node answers without leases", func(b *bench) {
			b.configure(func(c *config.Config) { c.Kubernetes.Ownership = rules.OwnershipAll })
			b.services(n)
			b.wantAnswered("all", n, n)
			b.wantPresence("all", netip.Addr{})
			if b.last().config.Needs.Leases || b.Owns(service(0)) {
				b.Error("it takes leases")
			}
		}},
		{"not fit, while another node can stand in", func(b *bench) { unfitInAll(b, []netip.Addr{neighbor}, nil, 0) }},
		{"not fit, while others are on other links", func(b *bench) { unfitInAll(b, []netip.Addr{far}, nil, n) }},
		{"not fit, and alone", func(b *bench) { unfitInAll(b, nil, nil, n) }},
		{"not fit, where Nodes may not be listed", func(b *bench) { unfitInAll(b, []netip.Addr{neighbor}, forbidden(), n) }},
		{"not fit, until a node comes that can stand in", func(b *bench) {
			unfitInAll(b, nil, nil, n)
			b.last().set(func() { b.last().nodes = []netip.Addr{neighbor} })
			b.wait(standInEvery + standInSpread)
			b.wantAnswered("later", n, 0)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, tt.do)
		})
	}
}

// Addresses of other Nodes, the one on the link of the tests.
var (
	neighbor = netip.MustParseAddr("2001:db8:1::77")
	far      = netip.MustParseAddr("2001:db8:99::77")
)

// unfitInAll has every node answer, and this one turn unfit, and wants so many answers.
func unfitInAll(b *bench, nodes []netip.Addr, fault error, want int) {
	b.configure(func(c *config.Config) { c.Kubernetes.Ownership = rules.OwnershipAll })
	b.services(40)
	b.last().set(func() { b.last().nodes, b.last().fault = nodes, fault })
	b.last().handler.Node(k8swatch.NodeState{Excluded: "label"})
	b.wait(time.Second)
	b.wantAnswered("not fit", 40, want)
	s, e := b.Status(), b.Explain(service(0), rules.Services)
	if s.Unfit != "label" || s.Irreplaceable != (want > 0) || e.Unfit != "label" || (e.Owner == "") != (want == 0) {
		b.Errorf("status %+v, explain %+v", s, e)
	}
}

// TestHandOver ends a node that owns addresses: it goes on to answer until others have
// had the time to take over.
func TestHandOver(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		others []string
		wait   time.Duration
	}{{"alone", nil, 0}, {"with another", []string{other}, ownership.HandOver}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var ended time.Time
			inBubble(t, func(b *bench) {
				for _, o := range tt.others {
					b.renew(o, otherMAC)
				}
				b.knowLeases()
				b.services(20)
				b.run(settleFor+time.Second, tt.others...)
				if b.answered(20) == 0 {
					t.Fatal("it owns nothing")
				}
				ended = time.Now()
			}, func() {
				if got := time.Since(ended); got != tt.wait {
					t.Errorf("Run ended after %s", got)
				}
			})
		})
	}
}

// TestTrouble has the leases of two nodes read that cannot be: neither hides the
// other.
func TestTrouble(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		for i := range 10 {
			for _, node := range []string{"n3", "n4"} {
				b.last().handler.Lease(k8swatch.Lease{Node: node, Record: "{", Renewed: int64(i)}, false)
			}
		}
		for _, node := range []string{"n3", "n4"} {
			if got := b.log.count("lease of node " + node); got != 1 {
				t.Errorf("%d lines about %s", got, node)
			}
		}
	})
}

// TestAnnounceAgain makes entries of changes of one address between two looks at them.
func TestAnnounceAgain(t *testing.T) {
	t.Parallel()
	a := service(0)
	announce := ownership.Change{Address: a, Ours: true, Owner: self, Announce: true}
	ours, theirs, gone := announce, ownership.Change{Address: a, Owner: other}, ownership.Change{Address: a, Gone: true}
	ours.Announce = false
	held := theirs
	held.Ours = true
	tests := []struct {
		name    string
		changes []ownership.Change
		again   bool
	}{
		{"announced", []ownership.Change{announce}, true},
		{"announced twice", []ownership.Change{announce, announce}, true},
		{"ours, and announced", []ownership.Change{ours, announce}, true},
		{"announced, with another backup", []ownership.Change{announce, ours}, true},
		{"announced, and left to another node", []ownership.Change{announce, theirs}, false},
		{"announced, and answered for until another node does", []ownership.Change{announce, held}, false},
		{"announced, and no service's any more", []ownership.Change{announce, gone}, false},
		{"announced, left and taken back", []ownership.Change{announce, theirs, ours}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Configure(b.config, new(k8swatch.Client))
			entries, again := b.current.entriesOf(tt.changes, time.Now())
			if len(again) > 0 != tt.again || len(again) > 0 && (again[0].Leaving || !again[0].Behind) {
				t.Errorf("announced again: %+v", again)
			}
			if last := entries[len(entries)-1]; tt.again && !last.Leaving {
				t.Errorf("it does not leave before: %+v", last)
			}
		})
	}
}
