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
	// Close detaches the program.
	Close() error
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
