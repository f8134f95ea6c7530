// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// maxFilterPrefixes bounds the part of the filter that compares targets:
	// beyond it the table in user space is cheaper than a walk in the kernel.
	maxFilterPrefixes = 16
	// acceptAll octets of a frame.
	acceptAll = 0x40000
)

// filter returns the classic BPF program of the packet socket. It lets through
// what can be a solicitation for us on the interface with that index and drops
// the rest before it costs a wake-up; [Respond] checks everything again.
func filter(index int, view *rules.View) ([]bpf.RawInstruction, error) {
	var p []bpf.Instruction
	drop := func(test bpf.JumpTest, value uint32) {
		p = append(p, bpf.JumpIf{Cond: test, Val: value, SkipFalse: 1}, bpf.RetConstant{Val: 0})
	}
	p = append(p, bpf.LoadExtension{Num: bpf.ExtType})
	drop(bpf.JumpGreaterThan, uint32(PacketMulticast))
	p = append(p, bpf.LoadExtension{Num: bpf.ExtInterfaceIndex})
	drop(bpf.JumpNotEqual, uint32(index)) //nolint:gosec // an index is positive
	// Before Linux 6.2 the tag keeps its value after the kernel took it off, so
	// it counts only where there is one. Of the tag only the identifier counts:
	// a priority tag is no VLAN (IEEE 802.1Q).
	p = append(p,
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 4},
		bpf.LoadExtension{Num: bpf.ExtVLANTag},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xfff})
	drop(bpf.JumpNotEqual, 0)
	p = append(p, bpf.LoadAbsolute{Off: offEtherType, Size: 2})
	drop(bpf.JumpNotEqual, etherTypeIPv6)
	p = append(p, bpf.LoadAbsolute{Off: offNextHeader, Size: 2}) // next header and hop limit
	drop(bpf.JumpNotEqual, protoICMPv6<<8|hopLimit)              // RFC 4861 §7.1.1
	p = append(p, bpf.LoadAbsolute{Off: offICMP, Size: 1})
	drop(bpf.JumpNotEqual, typeSolicitation)

	prefixes := answerable(view)
	if len(prefixes) <= maxFilterPrefixes {
		for _, pfx := range prefixes {
			p = append(p, matchTarget(pfx)...)
		}
		p = append(p, bpf.RetConstant{Val: 0})
	} else {
		p = append(p, bpf.RetConstant{Val: acceptAll})
	}
	raw, err := bpf.Assemble(p)
	if err != nil {
		return nil, fmt.Errorf("assemble packet filter: %w", err)
	}
	return raw, nil
}

// answerable returns the prefixes that are answered for, without those that
// another one covers. Order follows the addresses.
func answerable(view *rules.View) []netip.Prefix {
	if view == nil {
		return nil
	}
	var all []netip.Prefix
	for p, v := range view.Decisions() {
		if v.Answer {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	var out []netip.Prefix
	for _, p := range all {
		if len(out) == 0 || !out[len(out)-1].Contains(p.Addr()) {
			out = append(out, p)
		}
	}
	return out
}

// matchTarget accepts a frame whose target is in the prefix and goes on behind
// itself otherwise.
func matchTarget(p netip.Prefix) []bpf.Instruction {
	b := p.Addr().As16()
	var compare [][]bpf.Instruction
	for word, bits := 0, p.Bits(); bits > 0; word, bits = word+1, bits-32 {
		part := []bpf.Instruction{bpf.LoadAbsolute{Off: uint32(offTarget + 4*word), Size: 4}}
		if bits < 32 {
			part = append(part, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: ^uint32(0) << (32 - bits)})
		}
		compare = append(compare, append(part, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(b[4*word:])}))
	}
	out := []bpf.Instruction{bpf.RetConstant{Val: acceptAll}}
	for _, part := range slices.Backward(compare) {
		jump := part[len(part)-1].(bpf.JumpIf)
		jump.SkipTrue = uint8(len(out)) //nolint:gosec // at most 13 instructions
		part[len(part)-1] = jump
		out = append(part, out...)
	}
	return out
}
