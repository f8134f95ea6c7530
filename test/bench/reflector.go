// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// hook is where a program sees frames.
type hook uint8

const (
	atTC hook = iota
	atXDP
)

// reflector is the bare minimum of a program that answers: it makes an advertisement
// of each solicitation, without a look-up, a check, or a counter. No program that
// looks anything up can be faster at the same place.
type reflector struct {
	program  *ebpf.Program
	attached link.Link
}

func newReflector(t *testbed, at hook) (*reflector, error) {
	r := new(reflector)
	err := t.node.Do(func() error {
		device, err := net.InterfaceByName("bench1")
		if err != nil {
			return err
		}
		spec := &ebpf.ProgramSpec{Name: "reflector", License: "Apache-2.0", Instructions: reflect(at, device.Index)}
		if spec.Type = ebpf.SchedCLS; at == atXDP {
			spec.Type = ebpf.XDP
		}
		if r.program, err = ebpf.NewProgram(spec); err != nil {
			return fmt.Errorf("load reflector: %w", err)
		}
		if at == atXDP {
			r.attached, err = link.AttachXDP(link.XDPOptions{Program: r.program, Interface: device.Index, Flags: link.XDPDriverMode})
		} else {
			r.attached, err = link.AttachTCX(link.TCXOptions{Program: r.program, Interface: device.Index, Attach: ebpf.AttachTCXIngress})
		}
		if err != nil {
			return errors.Join(fmt.Errorf("attach reflector: %w", err), r.program.Close())
		}
		return nil
	})
	return r, err
}

func (r *reflector) close() error { return errors.Join(r.attached.Close(), r.program.Close()) }

// reflect is the program. The answer is as long as the solicitation, whose option
// names the asker's link-layer address.
func reflect(at hook, device int) asm.Instructions {
	data, end := int16(76), int16(80) // of __sk_buff
	pass, answer := int32(0), asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(device)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
	}
	if at == atXDP {
		data, end = 0, 4 // of xdp_md
		pass, answer = 2, asm.Instructions{asm.Mov.Imm(asm.R0, 3)}
	}
	mac := conformance.NodeMAC
	p := asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, data, asm.Word),
		asm.LoadMem(asm.R2, asm.R1, end, asm.Word),
		asm.Mov.Reg(asm.R3, asm.R6),
		asm.Add.Imm(asm.R3, frameLen),
		asm.JGT.Reg(asm.R3, asm.R2, "pass"),
		asm.LoadMem(asm.R4, asm.R6, 12, asm.Half),
		asm.HostTo(asm.BE, asm.R4, asm.Half),
		asm.JNE.Imm(asm.R4, 0x86dd, "pass"),
		asm.LoadMem(asm.R4, asm.R6, 20, asm.Byte),
		asm.JNE.Imm(asm.R4, 58, "pass"),
		asm.LoadMem(asm.R4, asm.R6, typeAt, asm.Byte),
		asm.JNE.Imm(asm.R4, 135, "pass"),
		// To the asker, from the target at our MAC address.
		asm.LoadMem(asm.R1, asm.R6, 6, asm.Word),
		asm.StoreMem(asm.R6, 0, asm.R1, asm.Word),
		asm.LoadMem(asm.R1, asm.R6, 10, asm.Half),
		asm.StoreMem(asm.R6, 4, asm.R1, asm.Half),
	}
	p = append(p, store(asm.R6, 6, mac[:])...)
	for i := int16(0); i < 16; i += 8 {
		p = append(p,
			asm.LoadMem(asm.R1, asm.R6, sourceAt+i, asm.DWord),
			asm.StoreMem(asm.R6, destAt+i, asm.R1, asm.DWord),
			asm.LoadMem(asm.R1, asm.R6, targetAt+i, asm.DWord),
			asm.StoreMem(asm.R6, sourceAt+i, asm.R1, asm.DWord),
		)
	}
	p = append(p,
		asm.StoreImm(asm.R6, typeAt, 136, asm.Byte),
		asm.StoreImm(asm.R6, checksumAt, 0, asm.Half),
		asm.StoreImm(asm.R6, flagsAt, 0x60, asm.Byte), // solicited, override
		asm.StoreImm(asm.R6, optionAt, 2, asm.Byte),
	)
	p = append(p, store(asm.R6, optionAt+2, mac[:])...)
	p = append(p, asm.Mov.Imm(asm.R4, int32(pseudoHeader())))
	for i := int16(sourceAt); i < frameLen; i += 4 {
		p = append(p, asm.LoadMem(asm.R3, asm.R6, i, asm.Word), asm.Add.Reg(asm.R4, asm.R3))
	}
	p = append(p, storeChecksum(asm.R4)...)
	p = append(p, answer...)
	return append(p, asm.Return(), asm.Mov.Imm(asm.R0, pass).WithSymbol("pass"), asm.Return())
}
