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
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestNodeAddress gives services addresses that nodes of the cluster have as their own:
// nobody owns them, and they are another service's again when the node has them no more.
func TestNodeAddress(t *testing.T) {
	t.Parallel()
	const n = 8
	taken := service(3)
	nodes := func(all map[netip.Addr]string) func(*bench) {
		return func(b *bench) {
			b.last().handler.NodeAddresses(all)
			b.last().handler.Known(k8swatch.SourceNodeAddresses, true)
		}
	}
	lease := func(addresses ...netip.Addr) func(*bench) {
		return func(b *bench) {
			a := ownership.Announcer{Node: other, Joining: true, Links: []ownership.Link{{MAC: otherMAC, Addresses: addresses}}}
			b.renewed++
			b.last().handler.Lease(k8swatch.Lease{Node: other, Holder: "h", Record: a.Record(), Renewed: b.renewed}, false)
		}
	}
	links := func(addresses ...netip.Addr) func(*bench) {
		return func(b *bench) {
			b.uplinks.record(func() {
				b.uplinks.links = []Link{{Name: uplink, MAC: selfMAC, OnLink: []netip.Prefix{onLink}, Addresses: addresses}}
			})
			b.UplinksChanged()
		}
	}
	tests := []struct {
		name        string
		begin, end  func(*bench)
		node        string
		told        bool // by an Event
		nodesBefore map[netip.Addr]string
	}{
		{name: "of a Node", begin: nodes(map[netip.Addr]string{taken: "n9"}), end: nodes(nil), node: "n9"},
		{name: "of this node's Node", begin: nodes(map[netip.Addr]string{taken: self}), end: nodes(nil), node: self},
		{name: "of another announcer's uplink", begin: lease(taken), end: lease(), node: other},
		{name: "of this node's uplink", begin: links(taken), end: links(), node: self, told: true},
		{name: "of this node's uplink, beside other Nodes", begin: links(taken), end: links(), node: self, nodesBefore: map[netip.Addr]string{service(99): "n9"}, told: true},
		{name: "the lease has ended", begin: lease(taken), end: func(b *bench) {
			b.last().handler.Lease(k8swatch.Lease{Node: other}, true)
		}, node: other},
	}
	for _, tt := range tests {
		for _, order := range []string{"address first", "service first"} {
			t.Run(tt.name+", "+order, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(b *bench) {
					nodes(tt.nodesBefore)(b)
					b.knowLeases()
					steps := []func(){func() { tt.begin(b); b.wait(0) }, func() { b.services(n, external); b.renewSelf() }}
					if order == "service first" {
						slices.Reverse(steps)
					}
					for _, step := range steps {
						step()
					}
					b.wantAnswered("with the node's address", n, n-1)
					e, _ := b.store.Entry(rules.ServiceAddresses, taken)
					v := b.store.Load().View(uplink).Find(taken)
					if !e.NodeAddress || e.Behind || v.Silence != rules.NodeAddress || b.Owns(taken) {
						b.Errorf("entry %+v, verdict %+v", e, v)
					}
					if x := b.Explain(taken, rules.Services); x == nil || x.Node != tt.node || x.Owner != "" {
						b.Errorf("explained as %+v", x)
					}
					if told := slices.Contains(b.last().reasons(), "AddressConflict"); told != tt.told {
						b.Errorf("Events %v", b.last().reasons())
					}
					tt.end(b)
					b.wait(0)
					b.wantAnswered("later", n, n)
				})
			})
		}
	}
}

// external makes addresses external ones.
func external(c *k8swatch.AddressChange) { c.Kind = k8swatch.ExternalIP }

// TestNodeAddressOnPurpose has the nodes themselves as the load balancer, as k3s does:
// nobody is warned of that.
func TestNodeAddressOnPurpose(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		a := service(0)
		b.uplinks.record(func() { b.uplinks.links[0].Addresses = []netip.Addr{a} })
		b.UplinksChanged()
		b.wait(0)
		b.last().handler.NodeAddresses(map[netip.Addr]string{a: self})
		b.last().handler.Known(k8swatch.SourceNodeAddresses, true)
		b.knowLeases()
		b.services(2, external)
		b.wantAnswered("beside the node's", 2, 1)
		if rs := b.last().reasons(); len(rs) > 0 {
			t.Errorf("Events %v", rs)
		}
	})
}

// TestStandByKeepsLinkAddresses has a node stand by: the addresses of its uplinks, which
// do not change, are known when it comes back.
func TestStandByKeepsLinkAddresses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		a := service(0)
		b.uplinks.record(func() { b.uplinks.links[0].Addresses = []netip.Addr{a} })
		b.UplinksChanged()
		b.wait(0)
		b.update(func(time.Time) { b.current = b.current.standDown() })
		b.last().handler.Joining()
		b.services(1, external)
		if e, ok := b.store.Entry(rules.ServiceAddresses, a); !ok || !e.NodeAddress {
			t.Errorf("the entry is %+v", e)
		}
	})
}

// TestLeaseAddresses looks for the addresses of this node's uplinks in its lease, also
// when nothing else of it changes, and bounds those of others.
func TestLeaseAddresses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		b.knowLeases()
		b.services(1)
		b.renewSelf()
		before := b.last().renewals
		b.uplinks.record(func() { b.uplinks.links[0].Addresses = []netip.Addr{netip.MustParseAddr("2001:db8:1::a")} })
		b.UplinksChanged()
		b.wait(time.Second)
		if b.last().renewals == before || !strings.Contains(b.last().handler.Record(), `"addresses":["2001:db8:1::a"]`) {
			t.Errorf("the record is %s after %d renewals", b.last().handler.Record(), b.last().renewals-before)
		}
		var many []netip.Addr
		for i := range 2 * maxLeaseAddresses {
			many = append(many, service(i))
		}
		a := ownership.Announcer{Node: other, Links: []ownership.Link{{MAC: otherMAC, Addresses: many}}}
		b.last().handler.Lease(k8swatch.Lease{Node: other, Holder: "h", Record: a.Record(), Renewed: 1}, false)
		b.services(2*maxLeaseAddresses, external)
		b.wantAnswered("beside a lease with many addresses", 2*maxLeaseAddresses, maxLeaseAddresses)
	})
}
