// SPDX-License-Identifier: Apache-2.0

package kernel_test

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/internal/kernel"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// BenchmarkRoutes takes the time that a route's change takes from the kernel's message
// to the published table, beside 200,000 other routes, and that of all routes anew, with
// the memory that they come to.
func BenchmarkRoutes(b *testing.B) {
	const eth0, pods, many = 2, 3, 200_000
	message := func(i uint32) hostwatch.Route {
		a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
		binary.BigEndian.PutUint32(a[12:], i*2654435761)
		return hostwatch.Route{
			Table: unix.RT_TABLE_MAIN, Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 128),
			Paths: []hostwatch.Path{{Metric: 1024, Kind: unix.RTN_UNICAST, Index: pods}},
		}
	}
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := memory()
	r := hostwatch.NewRoutes()
	r.SetDevice(hostwatch.Device{Index: eth0, Name: "eth0", Kind: "device", Neighbors: true}, false)
	r.SetDevice(hostwatch.Device{Index: pods, Name: "pods", Kind: "veth", Neighbors: true}, false)
	for i := range uint32(many) {
		r.Apply(message(i), 0, false)
	}
	var store rules.Store
	if err := store.SetRules([]rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Route}}); err != nil {
		b.Fatal(err)
	}
	e := kernel.New(behind.New(r), &store, func([]netip.Addr) {})
	used := memory() - before
	b.Run("change", func(b *testing.B) {
		b.ReportAllocs()
		gone := false
		for b.Loop() {
			changed, _ := r.Apply(message(many), 0, gone)
			e.RoutesChanged(changed, false)
			gone = !gone
		}
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			e.RoutesChanged(nil, true)
		}
		b.ReportMetric(float64(used)/(1<<20), "MiB")
	})
	runtime.KeepAlive(&store)
}
