// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// answersNatively gives the router's end of the link a program of its own where the
// daemon's is to be at XDP: a veth loses what a driver's program sends to a peer that has
// none.
func answersNatively(b *testing.B, n *harness.Network, way string) {
	b.Helper()
	if way != "xdp" {
		return
	}
	const pass = 2 // XDP_PASS of linux/bpf.h
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()},
	})
	harness.Must(b, err)
	b.Cleanup(func() { _ = p.Close() })
	harness.Must(b, n.Router.Do(func() error {
		device, err := net.InterfaceByName(harness.RouterPort)
		if err != nil {
			return err
		}
		l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: device.Index, Flags: link.XDPDriverMode})
		if err == nil {
			b.Cleanup(func() { _ = l.Close() })
		}
		return err
	}))
}

// kernelTable is the table of a daemon's program.
type kernelTable struct {
	b     *testing.B
	lines *ebpf.Map // of tables, of which the program reads one
}

// tableOf finds the table among what a daemon has open.
func tableOf(b *testing.B, d *harness.Daemon) *kernelTable {
	b.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", d.Process.Pid))
	harness.Must(b, err)
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // closed meanwhile
		}
		_, rest, isMap := strings.Cut(string(text), "map_id:")
		var id ebpf.MapID
		if _, err := fmt.Sscan(rest, &id); !isMap || err != nil {
			continue
		}
		m, err := ebpf.NewMapFromID(id)
		harness.Must(b, err)
		b.Cleanup(func() { _ = m.Close() })
		info, err := m.Info()
		harness.Must(b, err)
		if info.Name == "lines" {
			return &kernelTable{b, m}
		}
	}
	b.Fatal("the daemon has no table in the kernel")
	return nil
}

// answers reports whether one of the tables has a line by which an address is answered.
func (t *kernelTable) answers(a netip.Addr) bool {
	t.b.Helper()
	const isAnswered = 1 // ANSWER of internal/fastpath/bpf/table.h
	var key struct {
		Bits    uint32
		Address [16]byte
	}
	key.Bits, key.Address = 128, a.As16()
	for slot := range t.lines.MaxEntries() {
		var table *ebpf.Map
		if t.lines.Lookup(slot, &table) != nil {
			continue // there is none yet
		}
		var line uint32
		err := table.Lookup(&key, &line)
		_ = table.Close()
		if err == nil && line&isAnswered != 0 {
			return true
		}
	}
	return false
}

// BenchmarkKernelTable takes the time from a route's appearance to its line in the
// kernel, and to the first answer, whoever gives it: what the line takes longer is what
// the program's table adds to following a route.
func BenchmarkKernelTable(b *testing.B) {
	for _, routes := range []int{100, 10_000, 200_000} {
		b.Run(fmt.Sprintf("routes=%d", routes), func(b *testing.B) {
			byWay(b, func(b *testing.B, way string) { kernelTableOf(b, way, routes) })
		})
	}
}

func kernelTableOf(b *testing.B, way string, routes int) {
	b.Helper()
	n := network(b)
	answersNatively(b, n, way)
	fill(b, n, routes)
	d := harness.Run(b, n.Node, "--config", config(b, harness.BPFFS(b), way, rule))
	var table *kernelTable
	if way != "off" {
		table = tableOf(b, d)
	}
	port := harness.OpenPort(b, n.Router, harness.RouterPort)
	const samples = 300
	var answered, written, added []time.Duration
	for b.Loop() {
		for i := range samples {
			a := numbered(1_000_000 + i)
			r := hostRoute(b, n, a)
			answer, line := follow(b, port, table, a, func() { harness.Must(b, n.Node.Link.RouteAdd(r)) })
			answered = append(answered, answer)
			if table != nil {
				written, added = append(written, line), append(added, max(0, line-answer))
			}
			port.Advertisements(2*time.Millisecond, harness.Never) // late ones
			harness.Must(b, n.Node.Link.RouteDel(r))
			harness.Eventually(b, "silence", func() bool { return !harness.AnsweredOnce(port, a, 5*time.Millisecond) })
		}
	}
	harness.Report(b, "answer", answered)
	if table != nil {
		harness.Report(b, "line", written)
		harness.Report(b, "added", added)
	}
}

// follow makes a change, and returns the times to the first answer for an address and to
// its line.
func follow(b *testing.B, port *harness.Port, table *kernelTable, a netip.Addr, change func()) (answer, line time.Duration) {
	b.Helper()
	begin := time.Now()
	change()
	for answer == 0 || table != nil && line == 0 {
		if time.Since(begin) > 10*time.Second {
			b.Fatalf("no answer or no line for %s: %s, %s", a, answer, line)
		}
		if table != nil && line == 0 && table.answers(a) {
			line = time.Since(begin)
		}
		if answer == 0 && harness.AnsweredOnce(port, a, 100*time.Microsecond) {
			answer = time.Since(begin)
		}
	}
	return answer, line
}
