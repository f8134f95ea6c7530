// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// hook is where the program is attached on a device.
type hook interface {
	// Way is what status shows, and Name how the program is attached.
	Way() ndp.Way
	Name() string
	// Attached returns an error that says so where the program is not attached any more, or
	// where another process has put its own in the place of it.
	Attached() error
	// Program is the one that is attached.
	Program() ebpf.ProgramID
	// Update puts another program in the place of the one that is attached, so that no
	// frame is seen by none.
	Update(p *ebpf.Program) error
	// Pin has the program stay when the process ends, by a file in a folder of bpffs
	// where the way needs one.
	Pin(f *folder) error
	// Release lets go of a program that stays.
	Release() error
	// Close detaches the program. Nothing is pinned any more.
	Close() error
}

// adopt returns the hook of a link that an earlier daemon has left, and of its program, nil
// where the program is wanted another way.
func adopt(l link.Link, program ebpf.ProgramID, is, wanted ndp.Way) hook {
	info, err := l.Info()
	switch {
	case err != nil:
		return nil
	case info.Type == link.TCXType && wanted == ndp.WayTC:
		return &tcx{linked{l, program}}
	case info.Type == link.XDPType && wanted == is && wanted != ndp.WayTC:
		return &xdp{linked: linked{l, program}, way: wanted}
	}
	return nil
}

// attachedIndex returns the index of the device that a link is attached to, 0 where that is
// gone. It may be a device of another network namespace.
func attachedIndex(info *link.Info) int {
	if x := info.TCX(); info.Type == link.TCXType && x != nil {
		return int(x.Ifindex)
	}
	if x := info.XDP(); info.Type == link.XDPType && x != nil {
		return int(x.Ifindex)
	}
	return 0
}

// attachTC attaches the program at tc ingress: by tcx, which is there since Linux 6.6,
// and by a filter of clsact otherwise.
func attachTC(d *device, p *Program, o Options) (hook, error) {
	if !o.withoutTCX {
		h, err := attachTCX(d.index, p.objects.NdproxydTc)
		if !errors.Is(err, ebpf.ErrNotSupported) {
			return h, err
		}
	}
	return attachClsact(d, p.objects.NdproxydTc)
}

// tcx attaches the program at tc ingress, before all other programs there.
type tcx struct{ linked }

func attachTCX(index int, p *ebpf.Program) (hook, error) {
	id, err := idOf(p)
	if err != nil {
		return nil, err
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
	if err != nil {
		return nil, fmt.Errorf("attach at tc ingress: %w", err)
	}
	return &tcx{linked{l, id}}, nil
}

func (*tcx) Way() ndp.Way { return ndp.WayTC }
func (*tcx) Name() string { return "tcx" }
