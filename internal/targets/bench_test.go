// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// many are as many targets as a large provider has on one host.
const many = 100_000

// manyLines is a file with so many targets.
func manyLines(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "2001:db8:1::%x:%x\n", i>>12, i<<4&0xffff)
	}
	return b.Bytes()
}

func BenchmarkParse(b *testing.B) {
	in := manyLines(many)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := Parse(bytes.NewReader(in)); err != nil || len(r.targets) != many {
			b.Fatal(len(r.targets), err)
		}
	}
}

// BenchmarkLoad puts a file with many targets in force, and reports how much memory
// that takes in the end.
func BenchmarkLoad(b *testing.B) {
	in := manyLines(many)
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		r, err := Parse(bytes.NewReader(in))
		if err != nil {
			b.Fatal(err)
		}
		store := new(rules.Store)
		if err := store.SetRules([]rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Method: rules.File, Targets: "/t"}}); err != nil {
			b.Fatal(err)
		}
		e := &entries{store: store, files: make(map[string]list)}
		e.set("/t", r.targets)
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "B/target")
		runtime.KeepAlive(store)
		runtime.KeepAlive(e)
		b.StartTimer()
	}
}

// BenchmarkChange changes one line of a file with many.
func BenchmarkChange(b *testing.B) {
	in := manyLines(many)
	one, _ := Parse(bytes.NewReader(in))
	two, _ := Parse(strings.NewReader(string(in) + "2001:db8:1::ffff\n"))
	store := new(rules.Store)
	if err := store.SetRules([]rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Method: rules.File, Targets: "/t"}}); err != nil {
		b.Fatal(err)
	}
	e := &entries{store: store, files: make(map[string]list)}
	e.set("/t", one.targets)
	for i := 0; b.Loop(); i++ {
		e.set("/t", []list{two.targets, one.targets}[i%2])
	}
}
