// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// recordOf returns the record of this node's name by the host with a link-layer address.
func recordOf(mac [6]byte) string {
	return ownership.Announcer{Weight: 1, Settled: true, Links: []ownership.Link{{
		MAC: mac, Prefixes: []netip.Prefix{servicePrefix}, OnLink: []netip.Prefix{onLink},
	}}}.Record()
}

// TestNamesake has another daemon keep the lease of this node.
func TestNamesake(t *testing.T) {
	t.Parallel()
	const n = 6
	held := func(alive bool) error {
		return &k8swatch.HeldError{Node: self, Holder: "h9", Record: recordOf(otherMAC), Alive: alive}
	}
	lease := func(b *bench, mac [6]byte) {
		b.renewed++
		b.last().handler.Lease(k8swatch.Lease{Node: self, Holder: "h9", Record: recordOf(mac), Renewed: b.renewed}, false)
	}
	tests := []struct {
		name string
		do   func(b *bench)
	}{
		{"another host has the name: nothing is owned from the first moment on", func(b *bench) {
			b.last().handler.Pods(map[netip.Addr]k8swatch.Pod{netip.MustParseAddr("2001:db8:1:0:a::1"): {}})
			lease(b, otherMAC)
			b.knowLeases()
			b.services(n)
			b.wantAnswered("before the lease is tried", n, 0)
			b.last().handler.Renewed(held(false))
			b.wait(0)
			b.wantAnswered("while nobody knows whether it is there", n, 0)
			b.wantEntries("while nobody knows whether it is there", rules.PodAddresses, 1)
			b.last().handler.Renewed(held(true))
			b.wait(0)
			b.wantAnswered("while it is there", n, 0)
			b.wantEntries("while it is there", rules.PodAddresses, 0)
			b.wantPresence("while it is there", netip.Addr{})
			if s := b.Status(); b.Ready() == nil || s.Namesake == "" || s.Frozen || b.Namesake() == "" {
				b.Errorf("ready: %v, status: %+v", b.Ready(), s)
			}
			if got := b.last().reasons(); len(got) != 1 || got[0] != "NodeNameShared" {
				b.Errorf("Events %v", got)
			}
			b.last().handler.Renewed(errors.New("the API server is away"))
			b.wait(0)
			b.wantAnswered("without the API server", n, 0)
			b.renewSelf()
			b.wait(settleFor)
			b.wantAnswered("when it is gone", n, n)
			b.wantEntries("when it is gone", rules.PodAddresses, 1)
			if s := b.Status(); b.Ready() != nil || s.Namesake != "" {
				b.Errorf("ready: %v, status: %+v", b.Ready(), s)
			}
		}},
		{"a process of this host has ended", func(b *bench) {
			lease(b, selfMAC)
			b.knowLeases()
			b.services(n)
			b.wantAnswered("at once", n, n)
		}},
		{"the lease is taken from a node that is complete", func(b *bench) {
			b.services(n)
			b.knowLeases()
			b.renewSelf()
			if err := b.Ready(); err != nil {
				b.Error(err)
			}
			b.last().handler.Renewed(held(true))
			b.wait(time.Second)
			b.wantAnswered("after that", n, 0)
			if b.Ready() == nil {
				b.Error("it is ready")
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
