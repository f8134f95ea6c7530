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
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// forbidden is what the server says without a permission.
func forbidden() error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "leases"}, "", errors.New("no"))
}

// TestEvidence follows what the API server says into the store.
func TestEvidence(t *testing.T) {
	t.Parallel()
	pod := netip.MustParseAddr("2001:db8:1:0:a::1")
	pods := map[netip.Addr]k8swatch.Pod{pod: {Namespace: "default", Name: "p"}}
	prefixes := []netip.Prefix{netip.MustParsePrefix("2001:db8:2:0:1::/80")}
	tests := []struct {
		name   string
		do     func(b *bench, h k8swatch.Handler)
		source rules.Source
		want   int
	}{
		{"pods", func(_ *bench, h k8swatch.Handler) { h.Pods(pods) }, rules.PodAddresses, 1},
		{"no pod any more", func(_ *bench, h k8swatch.Handler) { h.Pods(pods); h.Pods(nil) }, rules.PodAddresses, 0},
		{"prefixes", func(_ *bench, h k8swatch.Handler) { h.Prefixes("test", prefixes) }, rules.NodePrefixes, 1},
		{"no prefix any more", func(_ *bench, h k8swatch.Handler) { h.Prefixes("test", prefixes); h.Prefixes("", nil) }, rules.NodePrefixes, 0},
		{"services", func(b *bench, _ k8swatch.Handler) { b.services(3) }, rules.ServiceAddresses, 3},
		{"a service is gone", func(b *bench, h k8swatch.Handler) {
			b.services(3)
			h.Services([]k8swatch.AddressChange{{Address: service(1), Gone: true}})
		}, rules.ServiceAddresses, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bench) {
				tt.do(b, b.last().handler)
				b.wait(0)
				b.wantEntries(tt.name, tt.source, tt.want)
			})
		})
	}
	t.Run("an address appears once", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(b *bench) {
			b.last().handler.Pods(pods)
			b.last().handler.Pods(pods)
			b.wait(0)
			if !slices.Equal(b.uplinks.appeared, []netip.Addr{pod}) {
				t.Errorf("the uplinks heard of %v", b.uplinks.appeared)
			}
			if e := b.Explain(pod, rules.Pods); e == nil || e.Pod != "default/p" {
				t.Errorf("explained as %+v", e)
			}
		})
	})
	t.Run("service CIDRs", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(b *bench) {
			before := b.changed
			b.last().handler.ServiceCIDRs(prefixes)
			b.last().handler.ServiceCIDRs(prefixes)
			b.wait(0)
			if b.changed != before+1 || !slices.Equal(b.ServiceCIDRs(), prefixes) {
				t.Errorf("%d changes were told of, of %v", b.changed-before, b.ServiceCIDRs())
			}
		})
	})
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
			given := len(b.uplinks.withdrawn)
			if given == 0 || given == n {
				b.Fatalf("%d of %d are withdrawn", given, n)
			}
			for a := range b.uplinks.withdrawn {
				if !b.announce(a) {
					b.Errorf("the announcement of %s is left to the uplink", a)
				}
				break
			}
			b.wantAnswered("after the first announcement", n, n-1)
			b.wait(ownership.HandOver)
			b.wantAnswered("after the handover", n, n-given)
		}},
		{"the leases may not be read", func(b *bench) {
			b.services(n)
			b.last().handler.Forbidden(k8swatch.SourceLeases)
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
			b.last().handler.Forbidden(k8swatch.SourceEndpointSlices)
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
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, tt.do)
		})
	}
}

// TestHeard asks which signs on the link are left to the uplink.
func TestHeard(t *testing.T) {
	t.Parallel()
	stranger := [6]byte{2, 0, 0, 0, 0, 9}
	pod := netip.MustParseAddr("2001:db8:1:0:a::1")
	tests := []struct {
		name    string
		sign    ndp.Sighting
		handled bool
	}{
		{"a stranger has an address of ours", ndp.Sighting{Address: service(0), MAC: stranger, Advertisement: true, Override: true}, false},
		{"a stranger has a pod's", ndp.Sighting{Address: pod, MAC: stranger, Advertisement: true, Override: true}, false},
		{"an announcer has a pod's", ndp.Sighting{Address: pod, MAC: otherMAC, Advertisement: true, Override: true}, false},
		{"an announcer announces", ndp.Sighting{Address: service(0), MAC: otherMAC, Advertisement: true, Override: true}, true},
		{"an announcer answers", ndp.Sighting{Address: service(0), MAC: otherMAC, Advertisement: true, Solicited: true}, true},
		{"an announcer asks", ndp.Sighting{Address: service(0), MAC: otherMAC}, true},
		{"a presence", ndp.Sighting{Address: rules.Presence("n9"), MAC: stranger, Advertisement: true}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bench) {
				if b.Heard(uplink, ndp.Sighting{Address: pod, MAC: stranger}) {
					t.Error("handled before anything is known")
				}
				b.knowLeases()
				b.services(1)
				b.renewSelf()
				b.last().handler.Pods(map[netip.Addr]k8swatch.Pod{pod: {}})
				joining := ownership.Announcer{Joining: true, Links: []ownership.Link{{MAC: otherMAC}}} // so that all is ours
				b.last().handler.Lease(k8swatch.Lease{Node: other, Holder: "h", Record: joining.Record(), Renewed: 1}, false)
				b.wait(0)
				b.wantAnswered("ours", 1, 1)
				if got := b.Heard(uplink, tt.sign); got != tt.handled {
					t.Errorf("handled: %t", got)
				}
			})
		})
	}
}

// TestRival lets other stations answer for an address of ours as a proxy does.
func TestRival(t *testing.T) {
	t.Parallel()
	proxied := ndp.Sighting{Address: service(0), MAC: [6]byte{2, 0, 0, 0, 0, 9}, Advertisement: true, Solicited: true}
	with := func(f func(*ndp.Sighting)) ndp.Sighting { s := proxied; f(&s); return s }
	tests := []struct {
		name string
		sign ndp.Sighting
		want bool
	}{
		{"a proxy", proxied, true},
		{"who overrides", with(func(s *ndp.Sighting) { s.Override = true }), false},
		{"who was not asked", with(func(s *ndp.Sighting) { s.Solicited = false }), false},
		{"who asks", with(func(s *ndp.Sighting) { s.Advertisement = false }), false},
		{"an address of nobody", with(func(s *ndp.Sighting) { s.Address = service(99) }), false},
		{"an uplink of ours", with(func(s *ndp.Sighting) { s.MAC = selfMAC }), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bench) {
				b.knowLeases()
				b.services(3)
				if got := b.Rival(uplink, tt.sign); got != tt.want {
					t.Errorf("got %t", got)
				}
				if got := slices.Contains(b.last().reasons(), "AddressShared"); got != tt.want {
					t.Errorf("an Event: %t", got)
				}
			})
		})
	}
	t.Run("one line a minute and uplink", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(b *bench) {
			b.knowLeases()
			b.services(3)
			for range 2 {
				for i := range 30 {
					b.Rival(uplink, with(func(s *ndp.Sighting) { s.Address = service(i % 3) }))
				}
				b.wait(remindEvery)
			}
			if lines, events := b.log.count("answers for a service address"), len(b.last().reasons()); lines != 2 || events != 6 {
				t.Errorf("%d lines and %d Events", lines, events)
			}
		})
	})
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

// TestConflict tells of another station with an address of a pod.
func TestConflict(t *testing.T) {
	t.Parallel()
	pod := netip.MustParseAddr("2001:db8:1:0:a::1")
	inBubble(t, func(b *bench) {
		b.last().handler.Pods(map[netip.Addr]k8swatch.Pod{pod: {Namespace: "default", Name: "p"}})
		b.Conflict(pod, otherMAC)
		b.Conflict(service(7), otherMAC) // of which the cluster knows nothing
		if es := b.last().events; len(es) != 1 || es[0].Pod == nil || es[0].Pod.Name != "p" || !es[0].Warning {
			t.Errorf("Events %+v", es)
		}
	})
}
