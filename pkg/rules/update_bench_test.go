// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// BenchmarkUpdate has some of many entries, which are all over the table, go and come again.
func BenchmarkUpdate(b *testing.B) {
	for _, size := range []int{1_000, 10_000, 200_000} {
		var s rules.Store
		if err := s.SetRules([]rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/32"), Method: rules.Route}}); err != nil {
			b.Fatal(err)
		}
		all := make([]rules.EntryChange, size)
		for i := range all {
			a := [16]byte{0x20, 1, 0xd, 0xb8}
			binary.BigEndian.PutUint32(a[12:], uint32(i))
			all[i].Entry = rules.Entry{Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 128), Device: 3, Behind: true}
		}
		s.UpdateRoutes(0, all)
		for _, n := range []int{1, 16, 256, 1024, 12_500} {
			if n > size/2 {
				break
			}
			b.Run(fmt.Sprintf("entries=%d/change=%d", size, n), func(b *testing.B) {
				some := make([]rules.EntryChange, n)
				for i := range some {
					some[i] = all[i*(size/n)]
				}
				b.ReportAllocs()
				gone := false
				for b.Loop() {
					gone = !gone
					for i := range some {
						some[i].Gone = gone
					}
					s.UpdateRoutes(0, some)
				}
			})
		}
	}
}
