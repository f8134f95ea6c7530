// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
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

// tcx attaches the program at tc ingress, before all other programs there, since Linux 6.6.
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
		return fmt.Errorf("the program was detached")
	}
	return nil
}
