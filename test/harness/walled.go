// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
)

// RunWalled starts the daemon in a control group whose IP packets are all dropped,
// as systemd does with IPAddressDeny=any, and waits until it is ready.
func RunWalled(tb testing.TB, ns *lab.Namespace, args ...string) *Daemon {
	tb.Helper()
	root := tb.TempDir()
	Must(tb, unix.Mount("none", root, "cgroup2", 0, ""))
	group, err := os.MkdirTemp(root, "ndproxyd-test")
	Must(tb, err)
	tb.Cleanup(func() { // after the daemon has ended
		// A process that has been waited for may be in its group for a moment more.
		Eventually(tb, "end of the daemon's control group", func() bool { return os.Remove(group) == nil })
		Must(tb, unix.Unmount(root, 0))
	})
	dir, err := os.Open(filepath.Clean(group))
	Must(tb, err)
	defer dir.Close()
	for _, attach := range []uint32{unix.BPF_CGROUP_INET_INGRESS, unix.BPF_CGROUP_INET_EGRESS} {
		dropAll(tb, int(dir.Fd()), attach)
	}
	path := Binary(tb)
	d := start(tb, ns, &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}, path, append([]string{"run"}, args...))
	d.WaitReady()
	return d
}

// dropAll attaches a program to a control group that returns 0, which drops.
func dropAll(tb testing.TB, group int, attach uint32) {
	tb.Helper()
	program := Program(tb, unix.BPF_PROG_TYPE_CGROUP_SKB, 0)
	defer unix.Close(program)
	join := struct{ target, program, kind, flags uint32 }{uint32(group), uint32(program), attach, 0}
	if _, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_ATTACH, uintptr(unsafe.Pointer(&join)), unsafe.Sizeof(join)); errno != 0 {
		tb.Fatalf("attach a program: %v", errno)
	}
}

// Program loads a BPF program of some kind that returns a number for everything, and
// returns its descriptor.
func Program(tb testing.TB, kind, result uint32) int {
	tb.Helper()
	instructions := [2]uint64{0xb7 | uint64(result)<<32, 0x95} // r0 = result; exit
	license := [...]byte{'A', 0}
	load := struct {
		kind, count           uint32
		instructions, license uint64
	}{kind, 2, uint64(uintptr(unsafe.Pointer(&instructions))), uint64(uintptr(unsafe.Pointer(&license)))}
	program, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&load)), unsafe.Sizeof(load))
	runtime.KeepAlive(&instructions)
	runtime.KeepAlive(&license)
	if errno != 0 {
		tb.Fatalf("load a program: %v", errno)
	}
	return int(program)
}
