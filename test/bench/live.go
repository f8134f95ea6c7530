// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/load"
)

// Where the fields of a solicitation's frame are.
const (
	frameLen   = 86
	groupMACAt = 2  // the four octets that follow 33:33
	sourceAt   = 22 // of the IPv6 header
	destAt     = 38
	groupAt    = 50 // the last four octets of the destination
	typeAt     = 54
	checksumAt = 56
	flagsAt    = 58
	targetAt   = 62
	optionAt   = 78
)

// frames makes solicitations in the kernel, and hands them to the link as XDP
// frames, as the driver of a network card does: no socket buffer is built for one
// that a program in the node's driver answers. The kernel runs the program again and
// again; it makes a frame, or none while enough are outstanding.
type frames struct {
	program  *ebpf.Program
	stateMap *ebpf.Map
	state    *liveState
}

// liveState is what the program and its user share. Only one of them runs at a time.
type liveState struct {
	seq      uint64 // of the next solicitation
	offset   uint64 // sequence numbers that are neither answered nor outstanding
	answered uint64 // as of the last run
	progress uint64 // when that changed
}

// liveRuns is how often the program runs in one call: long enough that making the
// frames' memory costs nothing, and short beside a load.
const liveRuns = 1 << 18

// newFrames loads a program that sends out of a device. outstanding 0 is a flood.
func newFrames(j *judge, device int, o load.Options, outstanding int) (*frames, error) {
	f := new(frames)
	var err error
	f.stateMap, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "state", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(unsafe.Sizeof(liveState{})), MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return nil, fmt.Errorf("create map: %w", err)
	}
	b, err := unix.Mmap(f.stateMap.FD(), 0, int(unsafe.Sizeof(liveState{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map memory: %w", err), f.stateMap.Close())
	}
	f.state = (*liveState)(unsafe.Pointer(&b[0]))
	f.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "frames", Type: ebpf.XDP, License: "Apache-2.0", Instructions: f.instructions(j, device, o, outstanding),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load program: %w", err), f.stateMap.Close())
	}
	return f, nil
}

func (f *frames) close() error { return errors.Join(f.program.Close(), f.stateMap.Close()) }

// run sends for a while, and returns the sequence number after the last one.
func (f *frames) run(n *lab.Namespace, j *judge, seq uint64, d time.Duration) (uint64, error) {
	*f.state = liveState{seq: seq, offset: seq - j.count(), answered: j.count(), progress: now()}
	err := n.Do(func() error {
		if err := pin(0, routerCPU); err != nil {
			return err
		}
		for end := time.Now().Add(d); time.Now().Before(end); {
			const liveFrames = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES of linux/bpf.h
			if _, err := f.program.Run(&ebpf.RunOptions{Data: make([]byte, frameLen), Repeat: liveRuns, Flags: liveFrames}); err != nil {
				return err
			}
		}
		return nil
	})
	return f.state.seq, err
}

func (f *frames) instructions(j *judge, device int, o load.Options, outstanding int) asm.Instructions {
	// R6 is where the frame begins, R7 the state, R8 the sequence number.
	p := asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, 0, asm.Word), // xdp_md.data
		asm.LoadMem(asm.R2, asm.R1, 4, asm.Word), // xdp_md.data_end
		asm.Mov.Reg(asm.R3, asm.R6),
		asm.Add.Imm(asm.R3, frameLen),
		asm.JGT.Reg(asm.R3, asm.R2, "drop"),
		asm.Mov.Imm(asm.R8, 0),
	}
	p = append(p, lookup(f.stateMap, asm.R8)...)
	p = append(p, asm.Mov.Reg(asm.R7, asm.R0))
	if outstanding > 0 {
		p = append(p, f.wait(j, outstanding)...)
	}
	p = append(p,
		asm.LoadMem(asm.R8, asm.R7, 0, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R8),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R7, 0, asm.R1, asm.DWord),
	)
	if o.Targets > 0 {
		p = append(p, asm.Mod.Imm(asm.R8, int32(o.Targets)))
	}
	p = append(p, asm.FnKtimeGetNs.Call(), asm.Mov.Reg(asm.R7, asm.R0), asm.Mov.Reg(asm.R9, asm.R8), asm.And.Imm(asm.R9, slots-1))
	p = append(p, lookup(j.sent, asm.R9)...)
	p = append(p, asm.StoreMem(asm.R0, 0, asm.R7, asm.DWord))
	p = append(p, solicit(o)...)
	return append(p,
		asm.Mov.Imm(asm.R1, int32(device)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("drop"),
		asm.Return(),
	)
}

// wait ends the run while enough are outstanding. What is not answered within
// lossWait is lost.
func (f *frames) wait(j *judge, outstanding int) asm.Instructions {
	const seq, offset, answered, progress = 0, 8, 16, 24
	p := append(lookup(j.answered, asm.R8),
		asm.LoadMem(asm.R8, asm.R0, 0, asm.DWord),
		asm.FnKtimeGetNs.Call(),
		asm.LoadMem(asm.R1, asm.R7, answered, asm.DWord),
		asm.JNE.Reg(asm.R1, asm.R8, "progress"),
		asm.LoadMem(asm.R1, asm.R7, progress, asm.DWord),
		asm.Mov.Reg(asm.R2, asm.R0),
		asm.Sub.Reg(asm.R2, asm.R1),
		asm.JLE.Imm(asm.R2, int32(lossWait), "judge"),
		asm.LoadMem(asm.R1, asm.R7, seq, asm.DWord),
		asm.Sub.Reg(asm.R1, asm.R8),
		asm.StoreMem(asm.R7, offset, asm.R1, asm.DWord),
		asm.StoreMem(asm.R7, answered, asm.R8, asm.DWord).WithSymbol("progress"),
		asm.StoreMem(asm.R7, progress, asm.R0, asm.DWord),
		asm.LoadMem(asm.R1, asm.R7, seq, asm.DWord).WithSymbol("judge"),
		asm.LoadMem(asm.R2, asm.R7, offset, asm.DWord),
		asm.Sub.Reg(asm.R1, asm.R2),
		asm.Sub.Reg(asm.R1, asm.R8),
		asm.JSGE.Imm(asm.R1, int32(outstanding), "drop"),
	)
	return p
}

// solicit writes the solicitation with the sequence number in R8 to R6. The memory is
// that of an answer.
func solicit(o load.Options) asm.Instructions {
	template := conformance.Solicitation(netip.IPv6Unspecified()).Bytes()
	binary.BigEndian.PutUint16(template[checksumAt:], 0)
	sum := pseudoHeader()
	for i := sourceAt; i < frameLen; i += 4 {
		sum += uint64(binary.NativeEndian.Uint32(template[i:]))
	}
	var p asm.Instructions
	for i := 0; i < frameLen; i += 8 {
		if frameLen-i >= 8 {
			p = append(p, asm.LoadImm(asm.R1, int64(binary.NativeEndian.Uint64(template[i:])), asm.DWord), asm.StoreMem(asm.R6, int16(i), asm.R1, asm.DWord))
			continue
		}
		p = append(p, store(asm.R6, i, template[i:])...)
	}
	prefix := o.Prefixes[0].Addr().As16()
	spread := uint64(load.Spread)
	low := asm.Instructions{asm.LoadImm(asm.R2, int64(spread), asm.DWord), asm.Mul.Reg(asm.R2, asm.R8), asm.HostTo(asm.BE, asm.R2, asm.DWord)}
	if o.Single {
		low = asm.Instructions{asm.Mov.Imm(asm.R2, 0)}
	}
	p = append(p, asm.Mov.Reg(asm.R1, asm.R8), asm.Mod.Imm(asm.R1, int32(len(o.Prefixes))))
	if o.Single {
		p = append(p, asm.Mov.Imm(asm.R1, 0))
	}
	p = append(p,
		asm.LoadImm(asm.R2, int64(binary.BigEndian.Uint64(prefix[:8])), asm.DWord),
		asm.Add.Reg(asm.R1, asm.R2),
		asm.HostTo(asm.BE, asm.R1, asm.DWord),
		asm.StoreMem(asm.R6, targetAt, asm.R1, asm.DWord),
	)
	p = append(p, low...)
	p = append(p,
		asm.StoreMem(asm.R6, targetAt+8, asm.R2, asm.DWord),
		// The last three octets are those of the group, RFC 4291 §2.7.1.
		asm.LoadMem(asm.R3, asm.R6, targetAt+12, asm.Word),
		asm.LoadImm(asm.R4, int64(binary.NativeEndian.Uint32([]byte{0, 0xff, 0xff, 0xff})), asm.DWord),
		asm.And.Reg(asm.R3, asm.R4),
		asm.LoadImm(asm.R4, int64(sum), asm.DWord),
		asm.Add.Reg(asm.R4, asm.R3),
		asm.LoadImm(asm.R5, int64(binary.NativeEndian.Uint32([]byte{0xff, 0, 0, 0})), asm.DWord),
		asm.Or.Reg(asm.R3, asm.R5),
		asm.StoreMem(asm.R6, groupAt, asm.R3, asm.Word),
		asm.StoreMem(asm.R6, groupMACAt, asm.R3, asm.Word),
	)
	for i := targetAt; i < optionAt; i += 4 {
		p = append(p, asm.LoadMem(asm.R3, asm.R6, int16(i), asm.Word), asm.Add.Reg(asm.R4, asm.R3))
	}
	return append(p, storeChecksum(asm.R4)...)
}

// lookup leaves a pointer to the value with the index in a register in R0, and
// changes R1 to R5.
func lookup(m *ebpf.Map, index asm.Register) asm.Instructions {
	return asm.Instructions{
		asm.StoreMem(asm.RFP, -4, index, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"),
	}
}

// store writes six octets, and changes R1.
func store(to asm.Register, offset int, b []byte) asm.Instructions {
	return asm.Instructions{
		asm.LoadImm(asm.R1, int64(binary.NativeEndian.Uint32(b)), asm.DWord),
		asm.StoreMem(to, int16(offset), asm.R1, asm.Word),
		asm.Mov.Imm(asm.R1, int32(binary.NativeEndian.Uint16(b[4:]))),
		asm.StoreMem(to, int16(offset+4), asm.R1, asm.Half),
	}
}

// pseudoHeader is the sum of what a checksum covers beside the addresses and the
// message (RFC 8200 §8.1), in the machine's order of octets.
func pseudoHeader() uint64 {
	return uint64(binary.NativeEndian.Uint16([]byte{0, 32})) + uint64(binary.NativeEndian.Uint16([]byte{0, 58}))
}

// storeChecksum folds a sum of 32-bit words, and writes it to the frame in R6.
func storeChecksum(sum asm.Register) asm.Instructions {
	fold := asm.Instructions{
		asm.Mov.Reg(asm.R3, sum),
		asm.RSh.Imm(asm.R3, 16),
		asm.And.Imm(sum, 0xffff),
		asm.Add.Reg(sum, asm.R3),
	}
	return append(slices.Concat(fold, fold, fold, fold), asm.Xor.Imm(sum, 0xffff), asm.StoreMem(asm.R6, checksumAt, sum, asm.Half))
}
