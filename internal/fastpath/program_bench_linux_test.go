// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// BenchmarkProgram measures the program alone, with as many prefixes: the kernel runs it over
// solicitations that another program writes. What that takes by itself is measured as well.
func BenchmarkProgram(b *testing.B) {
	const solicitations = 1024
	const part = 100_000 // that a processor at times does without an interruption
	for _, prefixes := range []int{1, 100_000} {
		var rs []rules.Rule
		var frames [][]byte
		for i := range prefixes {
			p := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 1, byte(i >> 16), byte(i >> 8), byte(i), 15: 0x77})
			rs = append(rs, rules.Rule{Method: rules.Static, Prefix: netip.PrefixFrom(p, 64).Masked()})
			if i%max(prefixes/solicitations, 1) == 0 && len(frames) < solicitations {
				frames = append(frames, conformance.Solicitation(p).Bytes())
			}
		}
		table, err := rules.Compile(rs)
		must(b, err)
		p, err := fastpath.Load(false)
		must(b, err)
		defer p.Close()
		must(b, p.Believe(time.Hour, time.Hour))
		must(b, p.SetInterface(ndp.NewInterface(conformance.Link(3), rules.Uplink{Interface: "uplink"})))
		must(b, p.SetView(table.View("uplink"), nil))
		for _, alone := range []bool{true, false} {
			name := "program"
			if alone {
				name = "frames alone"
			}
			b.Run(fmt.Sprintf("prefixes=%d/%s", prefixes, name), func(b *testing.B) {
				run := feed(b, frames, p.XDP(), alone)
				room := make([]byte, len(frames[0]))
				least := time.Hour
				for left := b.N; left > 0; left -= part {
					_, each, err := run.Benchmark(room, min(left, part), nil)
					must(b, err)
					if left >= part {
						least = min(least, each)
					}
				}
				b.ReportMetric(float64(least.Nanoseconds()), "ns/op-undisturbed")
			})
		}
	}
}

// feed returns a program that writes one frame after the other over what it is run with, and has
// the next program see each, unless it is to run alone.
func feed(b *testing.B, frames [][]byte, next *ebpf.Program, alone bool) *ebpf.Program {
	b.Helper()
	const ipv6At = 14 // RFC 2464 3
	number := newMap(b, ebpf.Array, 8, 1)
	text := newMap(b, ebpf.Array, uint32(len(frames[0])), uint32(len(frames)))
	for i, f := range frames {
		must(b, text.Put(uint32(i), f))
	}
	programs := newMap(b, ebpf.ProgramArray, 4, 1)
	if !alone {
		must(b, programs.Put(uint32(0), next))
	}
	at := func(m *ebpf.Map) asm.Instructions { // the value at the index in R7
		return asm.Instructions{
			asm.StoreMem(asm.RFP, -4, asm.R7, asm.Word),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.LoadMapPtr(asm.R1, m.FD()),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "end"),
		}
	}
	do := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1), asm.Mov.Imm(asm.R7, 0)}
	do = append(do, at(number)...)
	do = append(do,
		asm.LoadMem(asm.R7, asm.R0, 0, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R7),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mod.Imm(asm.R7, int32(len(frames))),
	)
	do = append(do, at(text)...)
	do = append(do,
		asm.LoadMem(asm.R1, asm.R6, 0, asm.Word), // data of xdp_md
		asm.LoadMem(asm.R2, asm.R6, 4, asm.Word), // data_end
		asm.Mov.Reg(asm.R3, asm.R1),
		asm.Add.Imm(asm.R3, int32(len(frames[0]))),
		asm.JGT.Reg(asm.R3, asm.R2, "end"),
	)
	// In the words that they are read in: one that was written in parts is read late.
	for i, size := 0, asm.Half; i < len(frames[0]); i += size.Sizeof() {
		if i == ipv6At {
			size = asm.DWord
		}
		do = append(do, asm.LoadMem(asm.R3, asm.R0, int16(i), size), asm.StoreMem(asm.R1, int16(i), asm.R3, size))
	}
	do = append(do,
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, programs.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, int32(xdpPass)).WithSymbol("end"),
		asm.Return(),
	)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "Apache-2.0", Instructions: do})
	must(b, err)
	b.Cleanup(func() { _ = p.Close() })
	return p
}

// newMap makes a map with keys of four octets.
func newMap(b *testing.B, kind ebpf.MapType, value, entries uint32) *ebpf.Map {
	b.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: kind, KeySize: 4, ValueSize: value, MaxEntries: entries})
	must(b, err)
	b.Cleanup(func() { _ = m.Close() })
	return m
}
