// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"encoding/binary"
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// line is what the program knows of a prefix: the flags of bpf/table.h, and the length of
// the prefix above them.
type line uint32

const (
	lineAnswer  line = 1 // solicitations are answered
	lineDelayed line = 2 // but multicast ones after a delay, by the packet socket
	lineShared  line = 4 // another node takes the address over when this one is silent
	lineCovered line = 8 // by a rule that is no deny rule
)

// lengthFrom is the first bit of the prefix's length.
const lengthFrom = 8

// lineOf returns the line of a verdict. Whatever keeps the program from answering at once
// leaves the decision to the packet socket.
func lineOf(p netip.Prefix, v rules.Verdict) line {
	l := line(p.Bits()) << lengthFrom //nolint:gosec // 0 to 128
	if v.Silence != rules.Denied {
		l |= lineCovered
	}
	if v.Answer {
		l |= lineAnswer
	}
	if v.Delay > 0 {
		l |= lineDelayed
	}
	if v.Service {
		l |= lineShared
	}
	return l
}

// key is a prefix as the maps have it, in the form of an LPM trie's key.
type key [4 + 16]byte

func keyOf(p netip.Prefix) key {
	var k key
	binary.NativeEndian.PutUint32(k[:4], uint32(p.Bits())) //nolint:gosec // 0 to 128
	a := p.Addr().As16()
	copy(k[4:], a[:])
	return k
}

// prefix returns what the key stands for.
func (k key) prefix() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte(k[4:])), int(binary.NativeEndian.Uint32(k[:4])))
}
