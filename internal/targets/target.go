// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// target is a line that names an address or a prefix. It is smaller than a
// netip.Prefix, as a file may have a million of them.
type target struct {
	high, low uint64
	line      int32
	bits      uint8
}

func newTarget(p netip.Prefix, line int) target {
	a := p.Addr().As16()
	return target{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:]), int32(line), uint8(p.Bits())} //nolint:gosec // of 64 MiB, and up to 128
}

func (t target) prefix() netip.Prefix {
	var a [16]byte
	binary.BigEndian.PutUint64(a[:8], t.high)
	binary.BigEndian.PutUint64(a[8:], t.low)
	return netip.PrefixFrom(netip.AddrFrom16(a), int(t.bits))
}

// compare orders targets by what they name, wherever that is in the file.
func (t target) compare(o target) int {
	return cmp.Or(cmp.Compare(t.high, o.high), cmp.Compare(t.low, o.low), cmp.Compare(t.bits, o.bits))
}

// list are targets in their order, each once.
type list []target

// newList sorts targets, and keeps the first line of each.
func newList(ts []target) list {
	slices.SortStableFunc(ts, target.compare)
	return slices.Clip(slices.CompactFunc(ts, func(a, b target) bool { return a.compare(b) == 0 }))
}

func (l list) has(t target) bool {
	_, ok := slices.BinarySearchFunc(l, t, target.compare)
	return ok
}

// with returns the list with one target more.
func (l list) with(t target) list {
	i, ok := slices.BinarySearchFunc(l, t, target.compare)
	if ok {
		return l
	}
	return slices.Insert(slices.Clone(l), i, t)
}

// union returns what is in one of the lists.
func union(a, b list) list {
	out := make(list, 0, max(len(a), len(b)))
	compare(a, b, func(t target) { out = append(out, t) }, func(t target) { out = append(out, t) }, func(t target) { out = append(out, t) })
	return out
}

// compare calls a function for each target that is in the first list only, in the
// second only, and in both.
func compare(a, b list, first, second, both func(target)) {
	for len(a) > 0 && len(b) > 0 {
		switch c := a[0].compare(b[0]); {
		case c < 0:
			first(a[0])
			a = a[1:]
		case c > 0:
			second(b[0])
			b = b[1:]
		default:
			both(b[0])
			a, b = a[1:], b[1:]
		}
	}
	for _, t := range a {
		first(t)
	}
	for _, t := range b {
		second(t)
	}
}
