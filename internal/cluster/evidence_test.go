// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

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
