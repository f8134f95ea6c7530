// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// TestPermissions takes permissions away and gives them back, and looks at what is
// answered.
func TestPermissions(t *testing.T) {
	t.Parallel()
	const n = 6
	local := func(nodes ...string) func(*k8swatch.AddressChange) {
		return func(c *k8swatch.AddressChange) { c.Local, c.Nodes = true, nodes }
	}
	forbid := func(b *bench, source string, missing bool) {
		b.last().handler.Forbidden(source, missing)
		b.wait(0)
	}
	tests := []struct {
		name string
		do   func(b *bench)
	}{
		{"endpoints come back into force", func(b *bench) {
			b.knowLeases()
			b.services(n, local())
			forbid(b, k8swatch.SourceEndpointSlices, true)
			b.wantAnswered("without a permission", n, n)
			forbid(b, k8swatch.SourceEndpointSlices, false)
			b.wantAnswered("with it again", n, 0)
			b.services(n, local(self))
			b.wantAnswered("with endpoints here", n, n)
		}},
		{"endpoints that were known stay known", func(b *bench) {
			b.knowLeases()
			b.last().handler.Known(k8swatch.SourceEndpointSlices, true)
			b.services(n, local(other))
			b.wantAnswered("before", n, 0)
			forbid(b, k8swatch.SourceEndpointSlices, true)
			b.wantAnswered("without a permission", n, 0)
		}},
		{"a node that was alone is so no more", func(b *bench) {
			b.services(n)
			forbid(b, k8swatch.SourceLeases, true)
			b.wantAnswered("alone", n, n)
			b.renew(other, otherMAC)
			b.knowLeases()
			if s := b.Status(); s.Alone || s.Announcers != 2 {
				b.Errorf("status %+v", s)
			}
			b.run(settleFor+1, other)
			if got := b.answered(n); got == 0 || got == n {
				b.Errorf("%d of %d are answered beside another node", got, n)
			}
		}},
		{"leases that were known stay known", func(b *bench) {
			b.renew(other, otherMAC)
			b.knowLeases()
			b.services(n)
			forbid(b, k8swatch.SourceLeases, true)
			if b.Status().Alone {
				b.Error("the node takes itself for alone")
			}
		}},
		{"the lease of the last process is good for a server that starts", func(b *bench) {
			b.last().handler.Lease(k8swatch.Lease{Node: self, Holder: "h0", Record: b.last().handler.Record(), Renewed: 1, Made: 100}, false)
			b.knowLeases()
			b.services(n)
			b.last().handler.Renewed(forbidden())
			b.wait(0)
			b.wantAnswered("for now", n, n)
			forbid(b, k8swatch.SourceOwnLease, true)
			b.wantAnswered("without a permission", n, 0)
			b.renewSelf()
			b.wantAnswered("with it", n, n)
		}},
		{"the next configuration goes on without a permission", func(b *bench) {
			b.knowLeases()
			b.services(n, local())
			forbid(b, k8swatch.SourceEndpointSlices, true)
			b.configure(func(c *config.Config) { c.Kubernetes.Weight = 2 })
			b.knowLeases()
			b.services(n, local())
			b.wantAnswered("without a permission", n, n)
			b.last().handler.Known(k8swatch.SourceEndpointSlices, true)
			b.wait(0)
			b.wantAnswered("with it", n, 0)
		}},
		{"what comes after a missing permission is waited for", func(b *bench) {
			forbid(b, k8swatch.SourceServices, true)
			if got := b.Waits(); got != nil {
				b.Errorf("waits for %v", got)
			}
			forbid(b, k8swatch.SourceServices, false)
			if got := b.Waits(); len(got) != 1 || got[0] != k8swatch.SourceServices {
				b.Errorf("waits for %v", got)
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
