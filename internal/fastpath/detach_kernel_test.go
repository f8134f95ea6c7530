// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
)

// passing returns a program that passes everything on.
func passing(t *testing.T, kind ebpf.ProgramType, attach ebpf.AttachType, verdict int32) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: kind, AttachType: attach, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()},
	})
	must(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// TestDetachFromKernel ends a pinned link at tc ingress and one at XDP, and removes a filter
// of ours where another program has one, too.
func TestDetachFromKernel(t *testing.T) {
	t.Parallel()
	const device = "eth0.100"
	ns, cookie := namespace(t)
	other, _ := namespace(t)
	must(t, ns.Veth(device, [6]byte{2, 0, 0, 0, 0, 1}, other, "peer", [6]byte{2, 0, 0, 0, 0, 2}))
	l, err := ns.Link.LinkByName(device)
	must(t, err)
	index := l.Attrs().Index
	directory := bpffs(t, cookie+"/eth0%2e100")
	folder := filepath.Join(directory, cookie, "eth0%2e100")

	const next, pass = -1, 2
	tc := passing(t, ebpf.SchedCLS, ebpf.AttachTCXIngress, next)
	must(t, ns.Do(func() error {
		tcx, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: tc, Attach: ebpf.AttachTCXIngress})
		must(t, err)
		must(t, tcx.Pin(filepath.Join(folder, "tcx")))
		must(t, tcx.Close())
		xdp, err := link.AttachXDP(link.XDPOptions{Interface: index, Program: passing(t, ebpf.XDP, ebpf.AttachXDP, pass), Flags: link.XDPGenericMode})
		must(t, err)
		must(t, xdp.Pin(filepath.Join(folder, "xdp")))
		must(t, xdp.Close())
		return nil
	}))
	must(t, tc.Pin(filepath.Join(folder, "program")))
	must(t, ns.Link.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}))
	for i, name := range []string{"ndproxyd", "another"} {
		must(t, ns.Link.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: uint32(i + 1), Protocol: unix.ETH_P_ALL, Priority: uint16(i + 1)},
			Fd:          tc.FD(), Name: name, DirectAction: true,
		}))
	}
	attached := func() (tcx, xdp int, filters []string) {
		must(t, ns.Do(func() error {
			q, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
			must(t, err)
			tcx = len(q.Programs)
			return nil
		}))
		now, err := ns.Link.LinkByIndex(index)
		must(t, err)
		if x := now.Attrs().Xdp; x != nil && x.Attached {
			xdp = 1
		}
		list, err := ns.Link.FilterList(now, netlink.HANDLE_MIN_INGRESS)
		must(t, err)
		for _, f := range list {
			filters = append(filters, f.(*netlink.BpfFilter).Name)
		}
		return tcx, xdp, filters
	}
	if tcx, xdp, filters := attached(); tcx != 1 || xdp != 1 || len(filters) != 2 {
		t.Fatalf("before, there are %d at tc ingress, %d at XDP, and %q", tcx, xdp, filters)
	}
	must(t, ns.Do(func() error {
		removed, err := fastpath.Detach(fastpath.DetachOptions{Directory: directory, Daemon: func() (string, func(string) bool) { return "", nil }})
		if all := strings.Join(removed, "\n"); all != device+": the filter at tc ingress\n"+device+": what was pinned in "+folder {
			t.Errorf("removed is %s", all)
		}
		return err
	}))
	if tcx, xdp, filters := attached(); tcx != 0 || xdp != 0 || len(filters) != 1 || filters[0] != "another" {
		t.Errorf("afterwards, there are %d at tc ingress, %d at XDP, and %q", tcx, xdp, filters)
	}
	if _, err := os.Stat(filepath.Join(directory, cookie)); !os.IsNotExist(err) {
		t.Errorf("the namespace's folder: %v", err)
	}
}
