// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// pinObject pins a map, program or link, whether it is pinned elsewhere or not: package
// ebpf would move the other pin.
func pinObject(fd int, path string) error {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return fmt.Errorf("pin %s: %w", path, err)
	}
	attr := struct { // the part of union bpf_attr for BPF_OBJ_PIN
		pathname uint64
		fd       uint32
		flags    uint32
	}{pathname: uint64(uintptr(unsafe.Pointer(name))), fd: uint32(fd)} //nolint:gosec // a descriptor
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_OBJ_PIN, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return fmt.Errorf("pin %s: %w", path, errno)
	}
	return nil
}

// pinMap pins a map in a folder.
func (f *folder) pinMap(name string, m *ebpf.Map) error {
	return f.pin(m.FD(), filepath.Join(f.path, name))
}

// replaceMap makes a name of the folder stand for another map. At each moment it stands for
// the one or for the other.
func (f *folder) replaceMap(name string, m *ebpf.Map) error {
	if err := f.aside(name, m.FD()); err != nil {
		return err
	}
	return f.renew(name)
}

// aside pins an object beside the one that has the name, in whose place renew puts it.
func (f *folder) aside(name string, fd int) error {
	path := filepath.Join(f.path, name+newSuffix)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // of a crash
		return err
	}
	return f.pin(fd, path)
}

func (f *folder) renew(name string) error {
	path := filepath.Join(f.path, name)
	return os.Rename(path+newSuffix, path)
}

// openMap opens a pinned map, and fails where it has another form than the program's.
func (f *folder) openMap(name string, spec *ebpf.MapSpec) (*ebpf.Map, error) {
	m, err := ebpf.LoadPinnedMap(filepath.Join(f.path, name), nil)
	if err != nil {
		return nil, fmt.Errorf("open pinned map %s: %w", name, err)
	}
	if isTable(spec) { // made with as much room as it took
		spec = spec.Copy()
		spec.MaxEntries = m.MaxEntries()
	}
	if err := spec.Compatible(m); err != nil {
		return nil, errors.Join(fmt.Errorf("pinned map %s: %w", name, err), m.Close())
	}
	return m, nil
}

// isTable reports whether a map has lines, and so any size.
func isTable(spec *ebpf.MapSpec) bool { return spec.Type == ebpf.Hash || spec.Type == ebpf.LPMTrie }

// openLink opens the pinned link, nil where there is none.
func (f *folder) openLink() (link.Link, error) {
	l, err := link.LoadPinnedLink(filepath.Join(f.path, pinnedLink), nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open pinned link: %w", err)
	}
	return l, nil
}

// pinLink pins a link in a folder.
func (f *folder) pinLink(l link.Link) error {
	fd, ok := l.(interface{ FD() int })
	if !ok {
		return errors.New("pin link: it has no descriptor")
	}
	return f.pin(fd.FD(), filepath.Join(f.path, pinnedLink))
}
