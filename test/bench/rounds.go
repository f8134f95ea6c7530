// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/test/load"
)

// round starts the system in a testbed of its own and measures it.
func (s *system) round() (res result, err error) {
	t, err := newTestbed()
	if err != nil {
		return res, fmt.Errorf("set testbed up: %w", err)
	}
	defer t.close()
	r := &runner{bed: t}
	if r.sender, err = load.NewSender(t.router, "bench0", s.asked); err != nil {
		return res, err
	}
	if r.judge, err = newJudge(t.router, t.port, s.asked); err != nil {
		return res, err
	}
	if r.frames, err = newFrames(r.judge, t.port, s.asked, frameWindow); err != nil {
		return res, err
	}
	defer r.close()
	if err := t.receiveInThreads(); err != nil {
		return res, err
	}
	daemon, stop, err := s.start(t)
	if err != nil {
		return res, err
	}
	defer stop()
	if err := r.waitForAnswer(); err != nil {
		return res, err
	}
	if err := t.check(s.way); err != nil {
		return res, err
	}
	// A program in the node's driver may have made new receive threads.
	if err := t.pinThreads(); err != nil {
		return res, err
	}
	r.daemon = daemon
	if err := r.settle(); err != nil {
		return res, err
	}
	res, err = r.measure(s.sized)
	res.memory = residentMemory(daemon)
	return res, err
}

// start starts the system. It returns the daemon's process, if it has one, and what
// ends it.
func (s *system) start(t *testbed) (pid int, stop func(), err error) {
	if s.reflects {
		r, err := newReflector(t, s.at)
		return 0, func() { _ = r.close() }, err
	}
	if s.command == nil {
		return 0, func() {}, t.node.Address("bench1", s.asked.Target(0).String()+"/128")
	}
	dir, err := os.MkdirTemp("", "ndpbench")
	if err != nil {
		return 0, nil, err
	}
	argv, err := s.command(dir)
	if err != nil {
		return 0, nil, errors.Join(err, os.RemoveAll(dir))
	}
	process, err := t.start(argv, dir)
	if err != nil {
		return 0, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return process.Pid, func() {
		_ = process.Kill()
		_, _ = process.Wait()
		_ = os.RemoveAll(dir)
	}, nil
}

// start starts a daemon on the node's processor, with a BPF file system of its own:
// what it pins ends with it. Its threads inherit both from the one that starts it.
func (t *testbed) start(argv []string, dir string) (*os.Process, error) {
	out, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	var process *os.Process
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends here
		result <- errors.Join(pin(0, nodeCPU), privateBPF(), t.node.Enter(func() error {
			process, err = os.StartProcess(argv[0], argv, &os.ProcAttr{Files: []*os.File{nil, out, out}})
			return err
		}))
	}()
	return process, <-result
}

// privateBPF gives the calling thread a BPF file system that nothing else sees.
func privateBPF() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("create mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""); err != nil {
		return fmt.Errorf("mount BPF file system: %w", err)
	}
	return nil
}

// check waits until a program is attached to the node's device in the way that is to be
// measured: the packet socket may be the first to answer. It fails where none is, as the
// daemon falls back to a slower way where it has to.
func (t *testbed) check(way string) error {
	if way == "" {
		return nil
	}
	var found string
	for range 100 {
		var err error
		if found, err = t.attached(); err != nil || found == way {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("the program is attached by %q instead of %q", found, way)
}

// attached returns how a program is attached to the node's device, off for none.
func (t *testbed) attached() (string, error) {
	device, err := t.node.Link.LinkByName("bench1")
	if err != nil {
		return "", err
	}
	const driver = 1 // XDP_ATTACHED_DRV of linux/if_link.h
	switch x := device.Attrs().Xdp; {
	case x == nil || !x.Attached:
	case x.AttachMode == driver:
		return xdp, nil
	default:
		return xdpGeneric, nil
	}
	found := off
	err = t.node.Do(func() error {
		programs, err := link.QueryPrograms(link.QueryOptions{Target: device.Attrs().Index, Attach: ebpf.AttachTCXIngress})
		if err == nil && len(programs.Programs) > 0 {
			found = tc
		}
		return err
	})
	return found, err
}

// settle waits until the daemon rests: with a large table it answers before its start is
// over.
func (r *runner) settle() error {
	const look, rest = time.Second, 30 * time.Millisecond
	for range 60 {
		_, before, err := r.cpuTimes()
		if err != nil {
			return err
		}
		time.Sleep(look)
		_, after, err := r.cpuTimes()
		if err != nil {
			return err
		}
		if after-before < rest {
			return nil
		}
	}
	return errors.New("the daemon does not come to rest")
}

// waitForAnswer asks until the system answers.
func (r *runner) waitForAnswer() error {
	for range 3000 {
		before := r.judge.count()
		if err := r.send(1); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
		if r.judge.count() > before {
			return nil
		}
	}
	return errors.New("no answer after 30 s")
}
