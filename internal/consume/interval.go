// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"cmp"
	"net/netip"
	"slices"
)

// interval is a range of addresses, as a set of nftables holds them.
type interval struct {
	first netip.Addr
	// end is the address after the last one, and invalid when there is none.
	end netip.Addr
}

// intervals returns the addresses of IPv6 prefixes as few ranges that neither
// overlap nor touch, in order: the kernel refuses ranges that overlap.
func intervals(prefixes []netip.Prefix) []interval {
	sorted := slices.Clone(prefixes)
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Masked().Addr().Compare(b.Masked().Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var all []interval
	for _, p := range sorted {
		first, end := p.Masked().Addr(), after(p)
		if n := len(all); n > 0 {
			last := &all[n-1]
			if !last.end.IsValid() {
				break // it reaches to the end of the address space
			}
			if first.Compare(last.end) <= 0 {
				if !end.IsValid() || end.Compare(last.end) > 0 {
					last.end = end
				}
				continue
			}
		}
		all = append(all, interval{first: first, end: end})
	}
	return all
}

// after returns the address that follows the last one of p, and the invalid
// address when there is none.
func after(p netip.Prefix) netip.Addr {
	last := p.Masked().Addr().As16()
	for i := range last {
		last[i] |= byte(0xff >> min(8, max(0, p.Bits()-8*i)))
	}
	return netip.AddrFrom16(last).Next()
}
