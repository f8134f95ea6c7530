// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// kernelTime returns what the clock shows that the program reads, in nanoseconds. A time
// namespace gives the daemon another one, and what /proc tells of that is about the
// daemon's children. So the kernel is asked as the program asks it: by a small program that
// runs once, and writes what it is told into its frame.
func kernelTime() (uint64, error) {
	const data, dataEnd = 76, 80 // in struct __sk_buff
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "ndproxyd_clock", Type: ebpf.SchedCLS, License: "Apache-2.0",
		Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.FnKtimeGetCoarseNs.Call(),
			asm.LoadMem(asm.R2, asm.R6, data, asm.Word),
			asm.LoadMem(asm.R3, asm.R6, dataEnd, asm.Word),
			asm.Mov.Reg(asm.R1, asm.R2),
			asm.Add.Imm(asm.R1, 8),
			asm.JGT.Reg(asm.R1, asm.R3, "end"),
			asm.StoreMem(asm.R2, 0, asm.R0, asm.DWord),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("end"),
			asm.Return(),
		},
	})
	if err != nil {
		return 0, fmt.Errorf("load the program that reads the clock: %w", err)
	}
	o := ebpf.RunOptions{Data: make([]byte, 64), DataOut: make([]byte, 64+256)} // as for Program.Run
	_, err = p.Run(&o)
	if err := errors.Join(err, p.Close()); err != nil {
		return 0, fmt.Errorf("read the kernel's clock: %w", err)
	}
	return binary.NativeEndian.Uint64(o.DataOut), nil
}

// kernelAhead returns by how many nanoseconds the clock that the program reads is ahead of
// the daemon's own, or less than that by the time that it takes to read both, so that nothing
// is believed for longer than it has to be. A time namespace with processes in it keeps its
// distance.
func kernelAhead() (uint64, error) {
	kernel, err := kernelTime()
	if err != nil {
		return 0, err
	}
	now, err := monotonic()
	return kernel - now, err // which goes round below 0
}

// monotonic returns the daemon's own clock of that kind, in nanoseconds: as coarse as the
// program's.
func monotonic() (uint64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &ts); err != nil {
		return 0, fmt.Errorf("read clock: %w", err)
	}
	return uint64(ts.Nano()), nil //nolint:gosec // since the host has started, or a bit less
}
