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

// program is a classic BPF program in the making.
type program []bpf.Instruction

// drop ends the program for a frame for which a test of what was loaded holds.
func (p *program) drop(test bpf.JumpTest, value uint32) {
	*p = append(*p, bpf.JumpIf{Cond: test, Val: value, SkipFalse: 1}, bpf.RetConstant{Val: 0})
}

func (p *program) assemble() ([]bpf.RawInstruction, error) {
	raw, err := bpf.Assemble(*p)
	if err != nil {
		return nil, fmt.Errorf("assemble packet filter: %w", err)
	}
	return raw, nil
}

// ConsumedMark marks a frame to us that a program in the kernel has made one to another
// host, so that the kernel's IPv6 drops it and the packet socket alone hears it.
const ConsumedMark = 0x6e647072

// neighborDiscovery begins a program: it goes on for a frame to us, without a
// VLAN, and on the interface with that index unless it is 0, that can be of
// neighbor discovery. What is loaded at its end is the type of the message.
func neighborDiscovery(index int) program {
	p := program{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: uint32(PacketMulticast), SkipFalse: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(PacketOtherHost), SkipFalse: 2},
		bpf.LoadExtension{Num: bpf.ExtMark},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: ConsumedMark, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
	if index != 0 {
		p = append(p, bpf.LoadExtension{Num: bpf.ExtInterfaceIndex})
		p.drop(bpf.JumpNotEqual, uint32(index)) //nolint:gosec // an index is positive
	}
	// Before Linux 6.2 the tag keeps its value after the kernel took it off, so
	// it counts only where there is one. Of the tag only the identifier counts:
	// a priority tag is no VLAN (IEEE 802.1Q).
	p = append(p,
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 4},
		bpf.LoadExtension{Num: bpf.ExtVLANTag},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xfff})
	p.drop(bpf.JumpNotEqual, 0)
	p = append(p, bpf.LoadAbsolute{Off: offEtherType, Size: 2})
	p.drop(bpf.JumpNotEqual, etherTypeIPv6)
	p = append(p, bpf.LoadAbsolute{Off: offNextHeader, Size: 2}) // next header and hop limit
	p.drop(bpf.JumpNotEqual, protoICMPv6<<8|hopLimit)            // RFC 4861 §7.1.1, §7.1.2
	return append(p, bpf.LoadAbsolute{Off: offICMP, Size: 1})
}

// filter returns the program of an uplink's socket. It lets through what can be a
// solicitation for us on the interface with that index, or a sign that another
// station owns an address we answer for, or the answer of a router that we have asked,
// and drops the rest before it costs a wake-up; user space checks everything again.
func filter(index int, view *rules.View, routers []netip.Addr) ([]bpf.RawInstruction, error) {
	p := neighborDiscovery(index)
	p = append(p,
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeSolicitation, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeAdvertisement, SkipTrue: 1},
		bpf.RetConstant{Val: 0})
	var answers []bpf.Instruction
	for _, r := range routers {
		answers = append(answers, match(offTarget, netip.PrefixFrom(r, r.BitLen()))...)
	}
	if len(answers) > 0 {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeSolicitation, SkipTrue: uint8(len(answers))}) //nolint:gosec // of maxFilterRouters
		p = append(p, answers...)
	}
	p = append(p, matchAddresses(view.Hears())...)
	return p.assemble()
}

// maxFilterRouters bounds the routers whose answers pass the filter.
const maxFilterRouters = 4

// askedRouters returns the routers that a daemon asks whether they hear it: where it has
// a presence, and so others that it may miss.
func askedRouters(i *Interface) []netip.Addr {
	if !i.facts.Uplink.Presence.IsValid() {
		return nil
	}
	return i.facts.NextHops[:min(len(i.facts.NextHops), maxFilterRouters)]
}

// advertisements returns the program of a socket that hears advertisements on
// every device.
func advertisements() ([]bpf.RawInstruction, error) {
	p := neighborDiscovery(0)
	p.drop(bpf.JumpNotEqual, typeAdvertisement)
	p = append(p, bpf.RetConstant{Val: acceptAll})
	return p.assemble()
}

// matchAddresses accepts a message about one of the prefixes, or of a solicitor
// with an address there.
func matchAddresses(prefixes []netip.Prefix) []bpf.Instruction {
	if len(prefixes) > maxFilterPrefixes {
		return []bpf.Instruction{bpf.RetConstant{Val: acceptAll}}
	}
	var p []bpf.Instruction
	for _, pfx := range prefixes {
		p = append(p, match(offTarget, pfx)...)
	}
	if len(prefixes) > 0 {
		p = append(p, match(offTarget, rules.PresencePrefix())...)
	}
	p = append(p, bpf.LoadAbsolute{Off: offICMP, Size: 1}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeSolicitation, SkipTrue: 1}, bpf.RetConstant{Val: 0})
	for _, pfx := range prefixes {
		p = append(p, match(offSource, pfx)...)
	}
	return append(p, bpf.RetConstant{Val: 0})
}

// match accepts a frame with an address of the prefix at an offset and goes on
// behind itself otherwise.
func match(offset int, p netip.Prefix) []bpf.Instruction {
	b := p.Addr().As16()
	var compare [][]bpf.Instruction
	for word, bits := 0, p.Bits(); bits > 0; word, bits = word+1, bits-32 {
		part := []bpf.Instruction{bpf.LoadAbsolute{Off: uint32(offset + 4*word), Size: 4}} //nolint:gosec // within a frame
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
