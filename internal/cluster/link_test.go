// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

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
		{"the kernel of an announcer's node answers", ndp.Sighting{Address: service(0), MAC: otherMAC, Advertisement: true, Solicited: true, Override: true}, false},
		{"an announcer looks for duplicates", ndp.Sighting{Address: service(0), MAC: otherMAC, Tentative: true}, true},
		{"a stranger looks for duplicates", ndp.Sighting{Address: service(0), MAC: stranger, Tentative: true}, false},
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

// TestHeardOnStandby asks which signs are left to the uplink of a node that stands by,
// where one rule is for pods and for services.
func TestHeardOnStandby(t *testing.T) {
	t.Parallel()
	pod, stranger := netip.MustParseAddr("2001:db8:1:0:a::1"), [6]byte{2, 0, 0, 0, 0, 9}
	inBubble(t, func(b *bench) {
		if err := b.store.SetRules([]rules.Rule{{Prefix: onLink, Method: rules.Pods, Kinds: rules.Exposed}}); err != nil {
			t.Fatal(err)
		}
		b.last().handler.Pods(map[netip.Addr]k8swatch.Pod{pod: {}})
		b.update(func(time.Time) { b.current = b.current.standDown() })
		for a, handled := range map[netip.Addr]bool{pod: false, service(0): true} {
			if got := b.Heard(uplink, ndp.Sighting{Address: a, MAC: stranger, Advertisement: true, Override: true}); got != handled {
				t.Errorf("%s: handled: %t", a, got)
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
