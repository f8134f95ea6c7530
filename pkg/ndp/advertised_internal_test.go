// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestAdvertised reads advertisements that may come from any device.
func TestAdvertised(t *testing.T) {
	t.Parallel()
	pod := netip.MustParseAddr("2001:db8:1:0:f::5")
	i := NewInterface(rules.Link{
		Index: 2, MAC: [6]byte{2, 0, 0, 0, 0, 5}, Addresses: []rules.LinkAddress{{Prefix: netip.MustParsePrefix("fe80::5/64"), Usable: true}},
	}, rules.Uplink{})
	resum := func(f []byte) {
		binary.BigEndian.PutUint16(f[offChecksum:], 0)
		binary.BigEndian.PutUint16(f[offChecksum:], ^icmpSum(f, len(f)-offICMP))
	}
	tests := []struct {
		name    string
		change  func(f []byte) []byte
		partial bool
		want    bool
	}{
		{"as it is", func(f []byte) []byte { return f }, false, true},
		{"with padding", func(f []byte) []byte { return append(f, 0, 0) }, false, true},
		{"wrong sum", func(f []byte) []byte { f[offChecksum]++; return f }, false, false},
		{"sum that is still to come", func(f []byte) []byte { f[offChecksum]++; return f }, true, true},
		{"forwarded by a router", func(f []byte) []byte { f[offHopLimit] = 254; return f }, false, false},
		{"solicited, to a group", func(f []byte) []byte { f[offFlags] |= flagSolicited; resum(f); return f }, false, false},
		{"solicitation", func(f []byte) []byte { f[offICMP] = typeSolicitation; resum(f); return f }, false, false},
		{"code", func(f []byte) []byte { f[offCode] = 1; resum(f); return f }, false, false},
		{"option without a length", func(f []byte) []byte { f[offOptions+1] = 0; resum(f); return f }, false, false},
		{"option beyond the end", func(f []byte) []byte { f[offOptions+1] = 2; resum(f); return f }, false, false},
		{"multicast target", func(f []byte) []byte { f[offTarget] = 0xff; resum(f); return f }, false, false},
		{"cut short", func(f []byte) []byte { return f[:offTarget+8] }, false, false},
		{"no frame at all", func([]byte) []byte { return nil }, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := i.Unsolicited(pod, true, false)
			if err != nil {
				t.Fatal(err)
			}
			f = tt.change(f)
			target, mac, ok := advertised(f, tt.partial)
			if ok != tt.want || ok && (target != pod || mac != [6]byte{2, 0, 0, 0, 0, 5}) {
				t.Errorf("got %s, %x, %t", target, mac, ok)
			}
		})
	}
}
