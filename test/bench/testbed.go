// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// The two processors of the testbed: one for the generator and the router's
// receive path, one for everything that the node does.
const (
	routerCPU = 0
	nodeCPU   = 1
)

// testbed is a router and a node on one link. Each end receives in a kernel
// thread of its own, so that the node's whole cost is on one processor and can
// be read from the scheduler.
type testbed struct {
	router, node *lab.Namespace
	port         int // index of the router's device
	// The receive threads, one a queue.
	routerNAPI, nodeNAPI []int
}

func newTestbed() (*testbed, error) {
	t := new(testbed)
	var err error
	if t.router, err = lab.New(); err != nil {
		return nil, err
	}
	if t.node, err = lab.New(); err != nil {
		return nil, err
	}
	if err := errors.Join(
		t.node.Sysctl("net/ipv6/conf/all/forwarding", "1"),
		t.router.Veth("bench0", conformance.RouterMAC, t.node, "bench1", conformance.NodeMAC),
		t.router.Address("bench0", conformance.RouterAddr.String()+"/64"),
		t.node.Address("bench1", conformance.NodeAddr.String()+"/64"),
	); err != nil {
		return nil, err
	}
	return t, t.router.Do(func() error {
		ifi, err := net.InterfaceByName("bench0")
		if err == nil {
			t.port = ifi.Index
		}
		return err
	})
}

// receiveInThreads gives each end receive threads of its own on its processor.
// It comes after the judge, whose program makes the kernel build new ones.
func (t *testbed) receiveInThreads() error {
	// A veth receives by NAPI with generic receive offload on, and from a peer
	// without TCP segmentation offload. The judge took the node's away.
	if err := t.router.Do(func() error { return ethtool("bench0", ethtoolSetTSO, 0) }); err != nil {
		return err
	}
	for _, end := range []struct {
		ns   *lab.Namespace
		name string
	}{{t.router, "bench0"}, {t.node, "bench1"}} {
		err := errors.Join(
			end.ns.Do(func() error { return ethtool(end.name, ethtoolSetGRO, 1) }),
			end.ns.WriteSys("class/net/"+end.name+"/threaded", "1"),
		)
		if err != nil {
			return fmt.Errorf("set %s up: %w", end.name, err)
		}
	}
	return t.pinThreads()
}

// pinThreads binds the receive threads to their processors, as often as the kernel
// makes new ones.
func (t *testbed) pinThreads() error {
	var err error
	if t.routerNAPI, err = pinThreadsOf("bench0", routerCPU); err != nil {
		return err
	}
	t.nodeNAPI, err = pinThreadsOf("bench1", nodeCPU)
	return err
}

// pinThreadsOf binds the receive threads of a device, and gives them priority over all
// programs, as a network card's interrupts have.
func pinThreadsOf(device string, cpu int) ([]int, error) {
	pids, err := napiThreads(device)
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		if err := pin(pid, cpu); err != nil {
			return nil, err
		}
	}
	return pids, prefer(pids, unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: -20})
}

// prefer gives tasks a priority.
func prefer(pids []int, attr unix.SchedAttr) error {
	attr.Size = unix.SizeofSchedAttr
	for _, pid := range pids {
		if err := unix.SchedSetAttr(pid, &attr, 0); err != nil {
			return fmt.Errorf("prefer receive thread: %w", err)
		}
	}
	return nil
}

// losesNothing lets the router's receive threads run at once while f does, even when the
// generator is within a system call: what the router loses is no system's loss. It
// costs the generator speed, as each answer interrupts it.
func (t *testbed) losesNothing(f func() error) error {
	if err := prefer(t.routerNAPI, unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1}); err != nil {
		return err
	}
	return errors.Join(f(), prefer(t.routerNAPI, unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: -20}))
}

func (t *testbed) close() {
	t.router.Close()
	t.node.Close()
	time.Sleep(100 * time.Millisecond) // let the kernel take the devices down
}

// Commands of SIOCETHTOOL in linux/ethtool.h.
const (
	ethtoolSetTSO = 0x1f
	ethtoolSetGRO = 0x2c
)

// ethtool sets one feature of a device.
func ethtool(name string, command, data uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	value := struct{ command, data uint32 }{command, data}
	req := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(req.name[:], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return fmt.Errorf("set feature %#x: %w", command, errno)
	}
	return nil
}

// napiThreads returns the kernel threads that receive for a device.
func napiThreads(device string) ([]int, error) {
	comms, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, path := range comms {
		b, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(b), "napi/"+device+"-") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	if len(pids) == 0 {
		return nil, fmt.Errorf("no receive thread of %s", device)
	}
	return pids, nil
}

// pin binds a task to a processor.
func pin(pid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(pid, &set); err != nil {
		return fmt.Errorf("pin task %d: %w", pid, err)
	}
	return nil
}

// cpuTime returns what the tasks of processes ran for so far.
func cpuTime(pids ...int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil || len(stats) == 0 {
			return 0, fmt.Errorf("read processor time of %d: %w", pid, os.ErrNotExist)
		}
		for _, path := range stats {
			b, err := os.ReadFile(path)
			if err != nil {
				continue // the thread ended
			}
			ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s: %w", path, err)
			}
			sum += time.Duration(ns)
		}
	}
	return sum, nil
}

// residentMemory returns the resident memory of a process in KiB.
func residentMemory(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}
