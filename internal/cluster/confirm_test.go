// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestConfirm looks at what of the snapshot is announced, and when.
func TestConfirm(t *testing.T) {
	t.Parallel()
	pod := netip.MustParseAddr("2001:db8:1:0:a::1")
	pods := map[netip.Addr]k8swatch.Pod{pod: {Namespace: "default", Name: "p"}}
	restore := func(b *bench) { // as a watcher does
		h := b.last().handler
		h.Known(k8swatch.SourcePods, false)
		h.Pods(pods)
		h.Known(k8swatch.SourceLeases, false)
		h.Services([]k8swatch.AddressChange{{Address: service(0)}})
		h.Known(k8swatch.SourceServices, false)
		b.wait(0)
	}
	want := func(b *bench, when string, a netip.Addr, source rules.Source, announced bool) {
		b.Helper()
		e, ok := b.store.Entry(source, a)
		if v := b.store.Load().View(uplink).Find(a); !ok || !e.Behind || v == nil || !v.Answer || v.Announced() != announced {
			b.Errorf("%s: entry %+v, verdict %+v, want it answered, and announced: %t", when, e, v, announced)
		}
	}
	both := func(b *bench, when string, announced bool) {
		b.Helper()
		want(b, when, pod, rules.PodAddresses, announced)
		want(b, when, service(0), rules.ServiceAddresses, announced)
	}
	tests := []struct {
		name string
		do   func(b *bench)
	}{
		{"the server lists", func(b *bench) {
			restore(b)
			both(b, "from the snapshot", false)
			b.last().handler.Known(k8swatch.SourcePods, true)
			b.last().handler.Pods(pods)
			want(b, "with a list of pods", pod, rules.PodAddresses, true)
			want(b, "with a list of pods", service(0), rules.ServiceAddresses, false)
			b.services(1)
			want(b, "with a list of services", service(0), rules.ServiceAddresses, false)
			b.knowLeases()
			both(b, "with all lists", true)
		}},
		{"there is no server", func(b *bench) {
			restore(b)
			b.wait(confirmWithin - time.Millisecond)
			both(b, "before it had the time", false)
			b.wait(time.Millisecond)
			both(b, "afterwards", true)
			b.last().handler.Pods(pods)
			both(b, "later", true)
		}},
		{"leases may not be read", func(b *bench) {
			h := b.last().handler
			h.Services([]k8swatch.AddressChange{{Address: service(0)}})
			h.Known(k8swatch.SourceServices, false)
			h.Forbidden(k8swatch.SourceLeases, true)
			b.wait(0)
			want(b, "from the snapshot", service(0), rules.ServiceAddresses, false)
			b.services(1)
			want(b, "with a list of services", service(0), rules.ServiceAddresses, true)
		}},
		{"another configuration", func(b *bench) {
			b.last().handler.Known(k8swatch.SourcePods, true)
			b.last().handler.Pods(pods)
			b.knowLeases()
			b.services(1)
			b.wait(confirmWithin)
			both(b, "before", true)
			b.configure(func(c *config.Config) { c.Kubernetes.Weight = 2 })
			restore(b)
			both(b, "after", true)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, tt.do)
		})
	}
}
