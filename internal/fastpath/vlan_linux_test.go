// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// tagAll puts the tag of a VLAN beside each frame that the router sends, as a device for a
// VLAN does.
func tagAll(t *testing.T, r *rig) {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Apache-2.0",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R2, int32(binary.NativeEndian.Uint16([]byte{0x81, 0x00}))),
			asm.Mov.Imm(asm.R3, 100),
			asm.FnSkbVlanPush.Call(),
			asm.Mov.Imm(asm.R0, tcNext), asm.Return(),
		},
	})
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	in(t, r.Router, harness.RouterPort, func(index int) error {
		l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXEgress})
		if err == nil {
			t.Cleanup(func() { _ = l.Close() })
		}
		return err
	})
}

// TestVLAN asks on a VLAN of the link, whose stations are not those of the uplink. XDP sees
// a tag in the frame only: the other end of a veth has to put it there.
func TestVLAN(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]rules.FastPathMode{"tc": rules.FastPathTC, "native": rules.FastPathXDP, "generic": rules.FastPathXDPGeneric} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			occupy(t, r.Router, harness.RouterPort, link.XDPDriverMode)
			r.listen(harness.Uplink, rules.Uplink{FastPath: mode}, fastpath.Options{})
			r.wantAnswers(true)
			if mode != rules.FastPathTC {
				const setFlags = 0x26 // ETHTOOL_SFLAGS: no tx-vlan-offload
				setAtRouter(t, r, setFlags, 0)
			}
			tagAll(t, r)
			before := r.byProgram()
			for range 3 {
				r.asker.Port.Send(conformance.Solicitation(conformance.Pod).Bytes())
			}
			r.asker.Port.Advertisements(harness.Quiet, harness.Never)
			if n := r.byProgram() - before; n != 0 {
				t.Errorf("the program answers %d solicitations of another VLAN", n)
			}
		})
	}
}
