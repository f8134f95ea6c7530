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
	// Attached returns an error that says so where the program is not attached any more.
	Attached() error
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

// adopt returns the hook of a link that an earlier daemon has left, nil where the program
// is wanted another way.
func adopt(l link.Link, is, wanted ndp.Way) hook {
	info, err := l.Info()
	switch {
	case err != nil:
		return nil
	case info.Type == link.TCXType && wanted == ndp.WayTC:
		return &tcx{link: l}
	case info.Type == link.XDPType && wanted == is && wanted != ndp.WayTC:
		return &xdp{link: l, way: wanted}
	}
	return nil
}

// deviceOfLink returns the index of the device that a link is attached to, 0 where that is
// gone.
func deviceOfLink(l link.Link) int {
	info, err := l.Info()
	if err != nil {
		return 0
	}
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
type tcx struct{ link link.Link }

func attachTCX(index int, p *ebpf.Program) (hook, error) {
	l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
	if err != nil {
		return nil, fmt.Errorf("attach at tc ingress: %w", err)
	}
	return &tcx{link: l}, nil
}

func (*tcx) Way() ndp.Way   { return ndp.WayTC }
func (*tcx) Name() string   { return "tcx" }
func (t *tcx) Close() error { return t.link.Close() }

func (t *tcx) Update(p *ebpf.Program) error { return t.link.Update(p) }
func (t *tcx) Pin(f *folder) error          { return f.pinLink(t.link) }
func (t *tcx) Release() error               { return t.link.Close() }

// Attached implements [hook].
func (t *tcx) Attached() error {
	info, err := t.link.Info()
	if err != nil {
		return fmt.Errorf("look at the program's link: %w", err)
	}
	if x := info.TCX(); x == nil || x.Ifindex == 0 {
		return errDetached
	}
	return nil
}

// errDetached says that the program is not attached any more, which it was.
var errDetached = errors.New("the program was detached by another")
