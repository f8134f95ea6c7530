// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// linked is a program that is attached by a link: what hooks have in common that do so.
type linked struct {
	link    link.Link
	program ebpf.ProgramID
}

// What a guard finds when the program is not attached any more, which it was.
var (
	errDetached = errors.New("the program was detached by another")
	errReplaced = errors.New("another has put a program of its own into the program's link")
)

// Program implements [hook].
func (l *linked) Program() ebpf.ProgramID { return l.program }

// Attached implements [hook].
func (l *linked) Attached() error {
	info, err := l.link.Info()
	switch {
	case err != nil:
		return fmt.Errorf("look at the program's link: %w", err)
	case attachedIndex(info) == 0:
		return errDetached
	case info.Program != l.program:
		return fmt.Errorf("%w: it is %s", errReplaced, programNamed(info.Program))
	}
	return nil
}

// Update implements [hook].
func (l *linked) Update(p *ebpf.Program) error {
	id, err := idOf(p)
	if err != nil {
		return err
	}
	if err := l.link.Update(p); err != nil {
		return err
	}
	l.program = id
	return nil
}

// Pin implements [hook].
func (l *linked) Pin(f *folder) error { return f.pinLink(l.link) }

// Release implements [hook].
func (l *linked) Release() error { return l.link.Close() }

// Close implements [hook]. The link ends although another process may have it open, or
// pinned elsewhere.
func (l *linked) Close() error { return endLink(l.link) }

// endLink detaches a link, also one whose device is gone, and closes it. Links of tcx and of XDP
// are always detached (tcx_link_detach, bpf_xdp_link_detach).
func endLink(l link.Link) error { return errors.Join(l.Detach(), l.Close()) }
