// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// BenchmarkHeard is what a forged sign costs an uplink beside 128 announcers and
// 10,000 services.
func BenchmarkHeard(b *testing.B) {
	m := newManager(b)
	m.Configure(m.config, new(k8swatch.Client))
	h := m.last().handler
	for i := range ownership.MaxSeats {
		h.Lease(k8swatch.Lease{Node: fmt.Sprint("o", i), Holder: "h", Renewed: 1, Record: ownership.Announcer{
			Links: []ownership.Link{{MAC: ownership.MAC{2, 3, 0, 0, 0, byte(i)}}},
		}.Record()}, false)
	}
	changes := make([]k8swatch.AddressChange, 10_000)
	for i := range changes {
		changes[i].Address = service(i)
	}
	h.Services(changes)
	sign := ndp.Sighting{Address: service(5), MAC: [6]byte{2, 9}, Advertisement: true, Override: true}
	b.ReportAllocs()
	for b.Loop() {
		m.Heard(uplink, sign)
	}
}
