// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/ndproxyd/ndproxyd/test/load"
)

// system is something that answers solicitations.
type system struct {
	name string
	// rules is how many prefixes the targets are spread over.
	rules int
	// single asks for one address only, as the kernel's own.
	single bool
	// command returns the command line of the daemon; nil for the kernel.
	command func(dir string, prefixes []netip.Prefix) ([]string, error)
}

// prefixes returns n prefixes of 64 bits. The first is not on-link.
func prefixes(n int) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		out[i] = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 1, byte(i >> 16), byte(i >> 8), byte(i)}), 64)
	}
	return out
}

func systems(ndproxyd, ndppd string) []system {
	ours := func(dir string, ps []netip.Prefix) ([]string, error) {
		var b strings.Builder
		b.WriteString("version: 1\nuplinks: [{interface: bench1}]\nrules:\n")
		for _, p := range ps {
			fmt.Fprintf(&b, "  - {prefix: %q, method: static}\n", p)
		}
		path := filepath.Join(dir, "ndproxyd.yaml")
		return []string{ndproxyd, "run", "--config", path}, os.WriteFile(path, []byte(b.String()), 0o600)
	}
	theirs := func(dir string, ps []netip.Prefix) ([]string, error) {
		path := filepath.Join(dir, "ndppd.conf")
		conf := fmt.Sprintf("proxy bench1 {\n router no\n ttl 30000\n rule %s { static }\n}\n", ps[0])
		return []string{ndppd, "-c", path}, os.WriteFile(path, []byte(conf), 0o600)
	}
	return []system{
		{name: "ndproxyd, 1 rule", rules: 1, command: ours},
		{name: "ndproxyd, 100,000 rules", rules: 100_000, command: ours},
		{name: "ndppd static", rules: 1, command: theirs},
		{name: "kernel, own address", rules: 1, single: true},
	}
}

// round starts the system in a testbed of its own and measures it.
func (s system) round() (result, error) {
	var res result
	t, err := newTestbed()
	if err != nil {
		return res, fmt.Errorf("set testbed up: %w", err)
	}
	defer t.close()
	ps := prefixes(s.rules)
	r := &runner{single: s.single}
	if r.sender, err = load.NewSender(t.router, "bench0", load.Options{Prefixes: ps, Single: s.single}); err != nil {
		return res, err
	}
	if r.judge, err = newJudge(t.router, t.port, s.single); err != nil {
		return res, err
	}
	defer r.close()
	if err := t.receiveInThreads(); err != nil {
		return res, err
	}
	var daemon int
	pids := t.nodeNAPI
	if s.command == nil {
		if err := t.node.Address("bench1", ps[0].Addr().String()+"/128"); err != nil {
			return res, err
		}
	} else {
		dir, err := os.MkdirTemp("", "ndpbench")
		if err != nil {
			return res, err
		}
		defer os.RemoveAll(dir)
		argv, err := s.command(dir, ps)
		if err != nil {
			return res, err
		}
		process, err := t.start(argv, dir)
		if err != nil {
			return res, err
		}
		defer func() {
			_ = process.Kill()
			_, _ = process.Wait()
		}()
		daemon = process.Pid
		pids = append(pids, daemon)
	}
	if err := r.waitForAnswer(); err != nil {
		return res, err
	}
	res, err = r.measure(pids...)
	res.memory = residentMemory(daemon)
	return res, err
}

// start starts a daemon on the node's processor. Its threads inherit that from
// the one that starts it.
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
		result <- errors.Join(pin(0, nodeCPU), t.node.Enter(func() error {
			process, err = os.StartProcess(argv[0], argv, &os.ProcAttr{Files: []*os.File{nil, out, out}})
			return err
		}))
	}()
	return process, <-result
}

// waitForAnswer asks until the system answers.
func (r *runner) waitForAnswer() error {
	for range 1000 {
		before := r.judge.count()
		if err := r.send(1); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
		if r.judge.count() > before {
			return nil
		}
	}
	return fmt.Errorf("no answer after 10 s")
}
