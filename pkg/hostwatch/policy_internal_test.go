// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// policyMessage is the body of RTM_NEWRULE.
func policyMessage(priority, table uint32, action byte, attrs ...[]byte) []byte {
	b := []byte{unix.AF_INET6, 0, 0, 0, byte(table), 0, 0, action, 0, 0, 0, 0}
	b = append(b, attr(fraPriority, binary.NativeEndian.AppendUint32(nil, priority))...)
	b = append(b, attr(fraSuppressPrefix, binary.NativeEndian.AppendUint32(nil, 1<<32-1))...)
	b = append(b, attr(fraProtocol, []byte{2})...)
	for _, a := range attrs {
		b = append(b, a...)
	}
	return b
}

// selects adds a selector with a prefix to a rule.
func selects(b []byte, kind uint16, prefix string) []byte {
	p := netip.MustParsePrefix(prefix)
	b[map[uint16]int{fraDst: 1, fraSrc: 2}[kind]] = byte(p.Bits())
	return append(b, attr(kind, p.Addr().AsSlice())...)
}

// inverted makes a rule hold for everything else.
func inverted(b []byte) []byte {
	binary.NativeEndian.PutUint32(b[8:], flagInvert)
	return b
}

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// suppresses adds a length up to which routes do not count.
func suppresses(n uint32) []byte { return attr(fraSuppressPrefix, u32(n)) }

func iif(name string) []byte { return attr(fraIifName, []byte(name+"\x00")) }

// basic are the rules that the kernel starts with.
func basic(more ...[]byte) [][]byte {
	return append(more, policyMessage(0, unix.RT_TABLE_LOCAL, actionTable), policyMessage(32766, unix.RT_TABLE_MAIN, actionTable))
}

// show shows a lookup.
func (l Lookup) show() string {
	var words []string
	for _, s := range l {
		_, w, _ := strings.Cut(s.text, ": ")
		words = append(words, w)
	}
	return strings.Join(words, ", ")
}

// The tables of the tests.
const red = 1001

// TestLookup has the policy rules that common software makes, and what they mean for
// packets that arrive on a device without a VRF and on one with.
func TestLookup(t *testing.T) {
	t.Parallel()
	l3mdev := policyMessage(1000, 0, actionTable, attr(fraL3mdev, []byte{1}))
	tests := []struct {
		name   string
		rules  [][]byte
		eth0   string
		port   string // in a VRF
		unsure string
	}{
		{name: "none", rules: nil, eth0: "lookup 255, lookup 254", port: "lookup 255, lookup 254"},
		{name: "a VRF", rules: [][]byte{l3mdev}, eth0: "lookup 255, lookup 254", port: "lookup 255, lookup [l3mdev-table], lookup 254"},
		{
			name: "packets from an uplink", rules: [][]byte{policyMessage(50, 100, actionTable, iif("eth0")), policyMessage(51, 101, actionTable, iif("red"))},
			eth0: "lookup 255, iif eth0 lookup 100, lookup 254", port: "lookup 255, iif red lookup 101, lookup 254",
		},
		{
			name: "a device in a VRF has the name of the VRF", rules: [][]byte{policyMessage(50, 100, actionTable, iif("port"))},
			eth0: "lookup 255, lookup 254", port: "lookup 255, lookup 254",
		},
		{
			name: "not from an uplink", rules: [][]byte{inverted(policyMessage(50, 100, actionTable, iif("eth0")))},
			eth0: "lookup 255, lookup 254", port: "lookup 255, not iif eth0 lookup 100, lookup 254",
		},
		{
			name: "wg-quick", rules: [][]byte{policyMessage(32764, 254, actionTable, suppresses(0)), inverted(policyMessage(32765, 51820, actionTable, attr(fraTable, u32(51820)), attr(fraFwMark, u32(51820))))},
			eth0: "lookup 255, suppress_prefixlength 0 lookup 254, not fwmark 0xca6c lookup 51820, lookup 254",
			port: "lookup 255, suppress_prefixlength 0 lookup 254, not fwmark 0xca6c lookup 51820, lookup 254",
		},
		{
			name: "Tailscale", rules: [][]byte{
				policyMessage(5210, 254, actionTable, attr(fraFwMark, u32(0x80000)), attr(fraFwMask, u32(0xff0000))),
				policyMessage(5230, 253, actionTable, attr(fraFwMark, u32(0x80000)), attr(fraFwMask, u32(0xff0000))),
				policyMessage(5250, 0, actionUnreachable, attr(fraFwMark, u32(0x80000)), attr(fraFwMask, u32(0xff0000))),
				policyMessage(5270, 52, actionTable),
			},
			eth0: "lookup 255, lookup 52, lookup 254", port: "lookup 255, lookup 52, lookup 254",
			unsure: "5210: fwmark 0x80000/0xff0000 lookup 254; 5230: fwmark 0x80000/0xff0000 lookup 253; 5250: fwmark 0x80000/0xff0000 unreachable",
		},
		{
			name: "packets without a mark", rules: [][]byte{policyMessage(15, 99, actionTable, attr(fraFwMask, u32(0xff)))},
			eth0: "lookup 255, fwmark 0x0/0xff lookup 99, lookup 254", port: "lookup 255, fwmark 0x0/0xff lookup 99, lookup 254",
		},
		{
			name: "what an address does not tell", rules: [][]byte{
				selects(policyMessage(10, 100, actionTable), fraSrc, "2001:db8::/32"),
				policyMessage(11, 100, actionTable, attr(fraIPProto, []byte{17})),
				policyMessage(12, 100, actionTable, attr(fraPorts, append(binary.NativeEndian.AppendUint16(nil, 80), binary.NativeEndian.AppendUint16(nil, 90)...))),
				policyMessage(13, 100, actionTable, attr(fraUsers, append(u32(0), u32(9)...))),
				policyMessage(14, 100, actionTable, attr(fraTunID, make([]byte, 8))),
				policyMessage(15, 100, actionTable, attr(99, []byte{1})),
				inverted(selects(policyMessage(16, 100, actionTable), fraSrc, "2001:db8::/32")),
			},
			eth0: "lookup 255, lookup 254", port: "lookup 255, lookup 254",
			unsure: "10: from 2001:db8::/32 lookup 100; 11: ipproto 17 lookup 100; 12: dport 80-90 lookup 100; 13: uidrange 0-9 lookup 100; 14: tun_id lookup 100; 15: selector 99 lookup 100; 16: not from 2001:db8::/32 lookup 100",
		},
		{
			name: "of no packet that arrives on these", rules: [][]byte{
				policyMessage(10, 100, actionTable, attr(fraOifName, []byte("eth0\x00"))),
				selects(policyMessage(11, 100, actionTable, iif("eth1")), fraSrc, "2001:db8::/32"),
				policyMessage(12, 100, actionTable, iif("lo")),
			},
			eth0: "lookup 255, lookup 254", port: "lookup 255, lookup 254",
		},
		{
			name: "the end of the search, and what is not done", rules: [][]byte{policyMessage(10, 0, actionNop), policyMessage(40000, 0, actionBlackhole, iif("eth0"))},
			eth0: "lookup 255, lookup 254, iif eth0 blackhole", port: "lookup 255, lookup 254",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := NewRoutes()
			r.SetDevice(Device{Index: 1, Name: "eth0"}, false)
			r.SetDevice(Device{Index: 2, Name: "red", VRF: red}, false)
			r.SetDevice(Device{Index: 3, Name: "port", Master: 2}, false)
			r.Follow([]Origin{{Device: "eth0"}, {Device: "port"}})
			r.setPolicy(parsePolicies(basic(tt.rules...)))
			r.Read(func(tables Tables) {
				of := tables.Lookups().Of
				if got := tables.Of(of[0]).l.show(); got != tt.eth0 {
					t.Errorf("eth0: %q, want %q", got, tt.eth0)
				}
				if got := tables.Of(of[1]).l.show(); got != tt.port {
					t.Errorf("port: %q, want %q", got, tt.port)
				}
			})
			if got := strings.Join(r.Policy(), "; "); got != tt.unsure {
				t.Errorf("not followed are %q", got)
			}
		})
	}
}

// TestGoto follows jumps.
func TestGoto(t *testing.T) {
	t.Parallel()
	jump := func(priority, target uint32, more ...[]byte) []byte {
		return policyMessage(priority, 0, actionGoto, append(more, attr(fraGoto, u32(target)))...)
	}
	tests := []struct {
		name  string
		rules [][]byte
		want  uint32 // the table that decides
	}{
		{"over a rule", [][]byte{jump(10, 30), policyMessage(20, 100, actionTable)}, 254},
		{"to a rule that does not hold, and on from there", [][]byte{jump(10, 30), policyMessage(20, 100, actionTable), policyMessage(30, 101, actionTable, iif("eth9")), policyMessage(31, 102, actionTable)}, 102},
		{"to nowhere", [][]byte{jump(10, 29), policyMessage(20, 100, actionTable)}, 100},
		{"of other destinations", [][]byte{selects(jump(10, 30), fraDst, "2001:db8:7::/48"), policyMessage(20, 100, actionTable)}, 100},
		{"of these destinations", [][]byte{selects(jump(10, 32766), fraDst, "2001:db8::/48"), policyMessage(20, 100, actionTable)}, 254},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := testRoutes()
			r.setPolicy(parsePolicies(append(basic(tt.rules...), policyMessage(30, 105, actionTable))))
			for _, table := range []uint32{100, 101, 102, 254} {
				msg := message("2001:db8::/32", dev(pod1))
				msg.Table = table
				r.Apply(msg, 0, false)
			}
			if d, ok := decide(r, "2001:db8::5/128"); !ok || d.Table != tt.want {
				t.Errorf("decided %+v, %t", d, ok)
			}
		})
	}
}

// TestFollow tells which changes of devices change what is asked.
func TestFollow(t *testing.T) {
	t.Parallel()
	r := NewRoutes()
	r.setPolicy(parsePolicies(basic(policyMessage(1000, 0, actionTable, attr(fraL3mdev, []byte{1})), policyMessage(1001, 100, actionTable, iif("eth1")))))
	version := func() (v Lookups) {
		r.Read(func(tables Tables) { v = tables.Lookups() })
		return v
	}
	if !r.Follow([]Origin{{Device: "eth0"}, {Device: "eth1"}, {Table: 100}}) || r.Follow([]Origin{{Device: "eth0"}, {Device: "eth1"}, {Table: 100}}) {
		t.Error("following changes nothing, or twice")
	}
	if v := version(); !slices.Equal(v.Of, []int{0, 1, 2}) || v.Count != 3 {
		t.Errorf("lookups are %+v", v)
	}
	steps := []struct {
		name    string
		device  Device
		gone    bool
		changed bool
		of      []int
	}{
		{"an uplink comes", Device{Index: 1, Name: "eth0"}, false, false, []int{0, 1, 2}},
		{"a VRF comes", Device{Index: 2, Name: "red", VRF: red}, false, false, []int{0, 1, 2}},
		{"the uplink is put into it", Device{Index: 1, Name: "eth0", Master: 2}, false, true, []int{0, 1, 2}},
		{"it goes up", Device{Index: 1, Name: "eth0", Master: 2, Up: true}, false, false, []int{0, 1, 2}},
		{"the VRF is renamed", Device{Index: 2, Name: "blue", VRF: red}, false, false, []int{0, 1, 2}},
		{"another one is in it, too", Device{Index: 3, Name: "eth1", Master: 2}, false, true, []int{0, 0, 1}},
		{"the VRF goes", Device{Index: 2, Name: "blue", VRF: red}, true, true, []int{0, 1, 2}},
	}
	for _, s := range steps { // in order
		before := version()
		changed, _ := r.SetDevice(s.device, s.gone)
		v := version()
		if changed != s.changed || !slices.Equal(v.Of, s.of) || (v.Version != before.Version) != changed {
			t.Errorf("%s: changed %t, lookups %+v", s.name, changed, v)
		}
	}
}

// TestVRF puts an uplink into a VRF, fills the VRF's table later, and takes the uplink
// out again.
func TestVRF(t *testing.T) {
	t.Parallel()
	const target = "2001:db8:1::5/128"
	r := testRoutes()
	vrf := Device{Index: 90, Name: "red", Kind: "vrf", VRF: red}
	r.setPolicy(parsePolicies(basic(policyMessage(1000, 0, actionTable, attr(fraL3mdev, []byte{1})))))
	r.Follow([]Origin{{Device: "eth0", Index: uplink}})
	r.SetDevice(vrf, false)
	r.Apply(message("2001:db8:1::/64", dev(pod2)), 0, false)
	decided := func(step string, want int32) {
		t.Helper()
		d, _ := decide(r, target)
		if len(d.Paths) != 1 || d.Paths[0].Index != want {
			t.Errorf("%s: decided %+v", step, d)
		}
	}
	put := func(master int32) {
		t.Helper()
		if changed, _ := r.SetDevice(Device{Index: uplink, Name: "eth0", Kind: "device", Neighbors: true, Master: master}, false); !changed {
			t.Error("nothing has changed")
		}
	}
	decided("no VRF", pod2)
	put(vrf.Index)
	decided("in the VRF, which has no route: the main table comes next", pod2)
	inVRF := message(target, dev(pod1))
	inVRF.Table = red
	if changed, _ := r.Apply(inVRF, 0, false); !slices.Contains(changed, netip.MustParsePrefix(target)) {
		t.Errorf("changed %s", changed)
	}
	decided("the VRF has one", pod1)
	unreachable := message("::/0", typed(unix.RTN_UNREACHABLE))
	unreachable.Table = red
	r.Apply(unreachable, 0, false)
	r.Apply(inVRF, 0, true)
	decided("the VRF refuses what it has no route for", lo)
	if n := count(r); n != 1 {
		t.Errorf("%d routes are seen", n)
	}
	put(0)
	decided("out of the VRF", pod2)
}
