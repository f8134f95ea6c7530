// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// singly writes each line by a system call of its own.
type singly struct{ store }

func (s singly) Put(slot uint32, trie bool, keys []key, lines []line) error {
	for i := range keys {
		if err := s.store.Put(slot, trie, keys[i:i+1], lines[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (s singly) Delete(slot uint32, trie bool, keys []key) error {
	for i := range keys {
		if err := s.store.Delete(slot, trie, keys[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkTable has some of 200,000 lines go and come again in the kernel: by their
// differences, line by line or many at a time, and by the whole table made anew.
func BenchmarkTable(b *testing.B) {
	const lines = 200_000
	s := routed(b)
	routes := make([]rules.EntryChange, lines)
	for i := range routes {
		a := [16]byte{0x20, 1, 0xd, 0xb8}
		binary.BigEndian.PutUint32(a[12:], uint32(i))
		routes[i] = rules.EntryChange{Entry: rules.Entry{Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 128), Device: 3, Behind: true}}
	}
	s.UpdateRoutes(0, routes)
	whole := s.Load().View("")
	for _, n := range []int{1, 1_000, 12_500, 100_000} {
		some := make([]rules.EntryChange, n)
		for i := range some {
			some[i] = routes[i*(lines/n)]
			some[i].Gone = true
		}
		s.UpdateRoutes(0, some)
		part := s.Load().View("")
		s.UpdateRoutes(0, routes)
		b.Run(fmt.Sprintf("go=%d", n), func(b *testing.B) { change(b, whole, part) })
		b.Run(fmt.Sprintf("come=%d", n), func(b *testing.B) { change(b, part, whole) })
	}
}

// change takes the time from one view to another in the kernel.
func change(b *testing.B, from, to *rules.View) {
	deltas := rules.Diff(from, to)
	apply := func(t *table) error {
		t.view = to
		return t.apply(deltas)
	}
	for _, c := range []struct {
		name   string
		single bool
		change func(*table) error
	}{
		{"line by line", true, apply},
		{"many at a time", false, apply},
		{"anew", false, func(t *table) error { return t.rebuild(to) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, err := Load(false)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = p.Close() }()
			if c.single {
				p.table.store = singly{&p.maps}
			}
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				if err := p.table.rebuild(from); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := c.change(&p.table); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
