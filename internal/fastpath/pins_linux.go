// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The files of an interface's folder beside the outer maps, which have the names that they
// have in the program. Inner maps are there because a map that only another map holds can
// be opened by its number, which takes CAP_SYS_ADMIN.
const (
	pinnedProgram = "program"
	pinnedLink    = "link" // where the way to attach has one
	pinnedFacts   = "facts"
	pinnedAbout   = "about" // pinned last and removed first: a folder with it is complete
)

// slotName is the name of an inner map: the hash or the trie of a slot.
func slotName(slot uint32, trie int) string {
	return [2]string{programMapLines, programMapTries}[trie] + strconv.Itoa(int(slot))
}

// folder is what is pinned of one interface.
type folder struct {
	path string // without newSuffix, whether it has its name yet or not
	pin  func(fd int, path string) error
}

// complete reports whether all is there that belongs into a folder.
func (f *folder) complete() bool {
	_, err := os.Lstat(filepath.Join(f.path, pinnedAbout))
	return err == nil
}

// find looks for what a daemon has left, also where it has ended in the middle of
// replacing a folder, and removes remains.
func (f *folder) find() (found bool, err error) {
	next := folder{path: f.path + newSuffix}
	switch {
	case f.complete():
		return true, next.remove()
	case !next.complete():
		return false, errors.Join(f.remove(), next.remove())
	}
	return true, errors.Join(f.remove(), os.Rename(next.path, f.path))
}

// make makes a folder of what fill pins in it, and puts it in the place of the one that is
// there, which is whole until then.
func (f *folder) make(fill func(*folder) error) (err error) {
	next := &folder{path: f.path + newSuffix, pin: f.pin}
	if err := os.MkdirAll(filepath.Dir(next.path), 0o700); err != nil {
		return fmt.Errorf("make folder of pins: %w", err)
	}
	if err := ours(next.path); err != nil { // others may have been faster
		return err
	}
	if err := next.remove(); err != nil {
		return err
	}
	if err := os.Mkdir(next.path, 0o700); err != nil {
		return fmt.Errorf("make folder of pins: %w", err)
	}
	if err := fill(next); err != nil {
		return errors.Join(err, next.remove())
	}
	err = os.Rename(next.path, f.path)
	if !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, next.path, unix.AT_FDCWD, f.path, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) { // of bpffs before Linux 5.16; find copes with an end in between
		return errors.Join(f.remove(), os.Rename(next.path, f.path))
	}
	if err != nil {
		return fmt.Errorf("replace folder of pins: %w", err)
	}
	return next.remove()
}

// remove removes what is pinned, whether there is anything or not.
func (f *folder) remove() error {
	err := os.Remove(filepath.Join(f.path, pinnedAbout))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove pins: %w", err)
	}
	if err := os.RemoveAll(f.path); err != nil {
		return fmt.Errorf("remove pins: %w", err)
	}
	return nil
}

// outer are the maps that the program names itself, by their names in the folder.
func (o *programObjects) outer() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		programMapConfig: o.Config, programMapLines: o.Lines, programMapTries: o.Tries,
		programMapLife: o.Life, programMapCounters: o.Counters, programMapRecords: o.Records,
	}
}

// pinAll pins all that belongs to a program in a folder that is made.
func (p *Program) pinAll(f *folder, h hook) error {
	for name, m := range p.objects.outer() {
		if err := f.pinMap(name, m); err != nil {
			return err
		}
	}
	if err := f.pinMap(pinnedFacts, p.maps.current); err != nil {
		return err
	}
	for slot := range uint32(len(p.maps.slots)) {
		for i, m := range p.maps.slots[slot] {
			if m == nil {
				continue
			}
			if err := f.pinMap(slotName(slot, i), m); err != nil {
				return err
			}
		}
	}
	if err := f.pin(p.of(h.Way()).FD(), filepath.Join(f.path, pinnedProgram)); err != nil {
		return err
	}
	if err := h.Pin(f); err != nil {
		return err
	}
	return f.pinMap(pinnedAbout, p.aboutMap)
}
