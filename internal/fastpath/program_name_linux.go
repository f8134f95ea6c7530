// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// programPrefix begins the names of our programs, those of other versions as well.
const programPrefix = "ndproxyd_"

// nameByID returns a program's name, which takes CAP_SYS_ADMIN to be known.
func nameByID(id ebpf.ProgramID) (name string, known bool, err error) {
	p, err := ebpf.NewProgramFromID(id)
	switch {
	case errors.Is(err, unix.EPERM):
		return "", false, nil
	case errors.Is(err, unix.ENOENT): // it has gone meanwhile
		return "", true, nil
	case err != nil:
		return "", false, fmt.Errorf("look at program %d: %w", id, err)
	}
	info, err := p.Info()
	if err := errors.Join(err, p.Close()); err != nil {
		return "", false, fmt.Errorf("look at program %d: %w", id, err)
	}
	return info.Name, true, nil
}

// idOf returns the kernel's number of a program.
func idOf(p *ebpf.Program) (ebpf.ProgramID, error) {
	info, err := p.Info()
	if err != nil {
		return 0, fmt.Errorf("look at program: %w", err)
	}
	id, _ := info.ID()
	return id, nil
}

// programNamed describes a program by its number, and its name where that can be known.
func programNamed(id ebpf.ProgramID) string {
	if name, _, _ := nameByID(id); name != "" {
		return fmt.Sprintf("program %d (%s)", id, name)
	}
	return fmt.Sprintf("program %d", id)
}
