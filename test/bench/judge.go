// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/load"
)

const (
	// slots holds the send times of the solicitations under way.
	slots = 1 << 16
	// samples holds the latencies of a run.
	samples = 1 << 21
)

// judge matches, times and drops the answers in an XDP program on the router's
// side, so that an answer costs the generator next to nothing.
type judge struct {
	sent, latency, answered *ebpf.Map
	program                 *ebpf.Program
	attached                link.Link
	targets                 uint64 // how many there are, 0 for a new one each time

	sentMem, latencyMem, answeredMem []uint64
}

// newJudge attaches the program to a device. With a single target all answers are
// for it: they are counted, and not timed.
func newJudge(n *lab.Namespace, device int, o load.Options) (*judge, error) {
	j, single := &judge{targets: uint64(o.Targets)}, o.Single
	var err error
	newArray := func(name string, n uint32) *ebpf.Map {
		m, e := ebpf.NewMap(&ebpf.MapSpec{Name: name, Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: n, Flags: unix.BPF_F_MMAPABLE})
		err = errors.Join(err, e)
		return m
	}
	j.sent, j.latency, j.answered = newArray("sent", slots), newArray("latency", samples), newArray("answered", 1)
	if err != nil {
		return nil, fmt.Errorf("create maps: %w", err)
	}
	for _, m := range []struct {
		m   *ebpf.Map
		mem *[]uint64
	}{{j.sent, &j.sentMem}, {j.latency, &j.latencyMem}, {j.answered, &j.answeredMem}} {
		n := int(m.m.MaxEntries())
		b, err := unix.Mmap(m.m.FD(), 0, n*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return nil, fmt.Errorf("map memory: %w", err)
		}
		*m.mem = unsafe.Slice((*uint64)(unsafe.Pointer(&b[0])), n)
	}
	j.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Apache-2.0", Instructions: j.instructions(single)})
	if err != nil {
		return nil, fmt.Errorf("load program: %w", err)
	}
	err = n.Do(func() error {
		j.attached, err = link.AttachXDP(link.XDPOptions{Program: j.program, Interface: device, Flags: link.XDPDriverMode})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("attach program: %w", err)
	}
	return j, nil
}

// instructions is the program. It passes what is no advertisement and drops the
// rest; one whose solicitation is under way is counted and timed.
func (j *judge) instructions(single bool) asm.Instructions {
	prologue := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // xdp_md.data
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // xdp_md.data_end
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 78),
		asm.JGT.Reg(asm.R4, asm.R3, "pass"),
		asm.LoadMem(asm.R4, asm.R2, 12, asm.Half),
		asm.HostTo(asm.BE, asm.R4, asm.Half),
		asm.JNE.Imm(asm.R4, 0x86dd, "pass"),
		asm.LoadMem(asm.R4, asm.R2, 20, asm.Byte),
		asm.JNE.Imm(asm.R4, 58, "pass"),
		asm.LoadMem(asm.R4, asm.R2, 54, asm.Byte),
		asm.JNE.Imm(asm.R4, 136, "pass"),
	}
	unspread := uint64(load.Unspread)
	var timed asm.Instructions
	if !single {
		timed = append(timed,
			asm.LoadMem(asm.R6, asm.R2, 70, asm.DWord), // low half of the target
			asm.HostTo(asm.BE, asm.R6, asm.DWord),
			asm.LoadImm(asm.R7, int64(unspread), asm.DWord),
			asm.Mul.Reg(asm.R6, asm.R7),
			asm.And.Imm(asm.R6, slots-1),
		)
		timed = append(timed, lookup(j.sent, asm.R6)...)
		timed = append(timed,
			asm.LoadMem(asm.R8, asm.R0, 0, asm.DWord),
			asm.JEq.Imm(asm.R8, 0, "drop"), // late or doubled
			asm.Mov.Imm(asm.R7, 0),
			asm.StoreMem(asm.R0, 0, asm.R7, asm.DWord),
			asm.FnKtimeGetNs.Call(),
			asm.Sub.Reg(asm.R0, asm.R8),
			asm.Mov.Reg(asm.R9, asm.R0),
		)
	}
	count := asm.Instructions{asm.Mov.Imm(asm.R6, 0)}
	count = append(count, lookup(j.answered, asm.R6)...)
	count = append(count,
		// One receive thread runs the program, so this need not be atomic.
		asm.LoadMem(asm.R7, asm.R0, 0, asm.DWord),
		asm.Mov.Reg(asm.R8, asm.R7),
		asm.Add.Imm(asm.R8, 1),
		asm.StoreMem(asm.R0, 0, asm.R8, asm.DWord),
	)
	if !single {
		count = append(count,
			asm.Mov.Reg(asm.R6, asm.R7),
			asm.And.Imm(asm.R6, samples-1),
		)
		count = append(count, lookup(j.latency, asm.R6)...)
		count = append(count, asm.StoreMem(asm.R0, 0, asm.R9, asm.DWord))
	}
	end := asm.Instructions{
		asm.Mov.Imm(asm.R0, 1).WithSymbol("drop"),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 2).WithSymbol("pass"),
		asm.Return(),
	}
	p := append(prologue, timed...)
	return append(append(p, count...), end...)
}

// count returns the answers so far.
func (j *judge) count() uint64 { return atomic.LoadUint64(&j.answeredMem[0]) }

// mark notes that n solicitations from first on leave now.
func (j *judge) mark(first uint64, n int, now uint64) {
	for seq := first; seq < first+uint64(n); seq++ {
		slot := seq
		if j.targets > 0 {
			slot %= j.targets
		}
		atomic.StoreUint64(&j.sentMem[slot&(slots-1)], now)
	}
}

// latencies returns those of the answers from one count to another.
func (j *judge) latencies(from, to uint64) []time.Duration {
	if to-from > samples {
		from = to - samples
	}
	out := make([]time.Duration, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, time.Duration(j.latencyMem[i&(samples-1)]))
	}
	return out
}

func (j *judge) close() error {
	return errors.Join(j.attached.Close(), j.program.Close(), j.sent.Close(), j.latency.Close(), j.answered.Close())
}
