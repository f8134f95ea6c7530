// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// passXDP attaches a program to a device that passes every frame.
func passXDP(t *testing.T, ns *lab.Namespace, device string) {
	t.Helper()
	const xdpPass = 2
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "pass", Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	harness.Must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	harness.Must(t, ns.Do(func() error {
		i, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: i.Index, Flags: link.XDPDriverMode})
		if err == nil {
			t.Cleanup(func() { _ = l.Close() })
		}
		return err
	}))
}

// byProgram returns how many answers the metrics say are the program's.
func byProgram(d *harness.Daemon) (n int) {
	_, metrics := d.Get("/metrics")
	for line := range strings.Lines(metrics) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.HasPrefix(name, "ndproxyd_fast_path_answers_total{") {
			count, _ := strconv.Atoi(value)
			n += count
		}
	}
	return n
}
