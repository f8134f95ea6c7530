// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// mapStore is the program's maps.
type mapStore struct {
	objects *programObjects
	// The maps that the outer ones take.
	lines, tries, facts *ebpf.MapSpec
	// slots are the inner maps that this process has made: by slot, the hash and the trie.
	slots [2][2]*ebpf.Map
	// current are the facts that the program reads.
	current *ebpf.Map
	// folder is where the maps are pinned, nil where they are not; unpinned says why they
	// are not any more.
	folder   *folder
	unpinned error
}

// innerSpecs takes the forms of the inner maps from the program's object.
func (s *mapStore) innerSpecs(spec *ebpf.CollectionSpec) {
	s.facts, s.lines, s.tries = spec.Maps["config"].InnerMap, spec.Maps["lines"].InnerMap, spec.Maps["tries"].InnerMap
}

// Make implements [store].
func (s *mapStore) Make(slot uint32, lines, tries int) error {
	for i, part := range []struct {
		spec  *ebpf.MapSpec
		outer *ebpf.Map
		room  int
	}{{s.lines, s.objects.Lines, lines}, {s.tries, s.objects.Tries, tries}} {
		spec := part.spec.Copy()
		spec.MaxEntries = uint32(part.room) //nolint:gosec // of room
		m, err := ebpf.NewMap(spec)
		if err != nil {
			return fmt.Errorf("make table: %w", err)
		}
		if err := part.outer.Put(slot, m); err != nil {
			return errors.Join(fmt.Errorf("put table in its slot: %w", err), m.Close())
		}
		s.replace(slot, i, m)
		// Before the facts name the slot, so that the one that is read is always pinned.
		if s.folder != nil {
			s.unpinAfter(s.folder.replaceMap(slotName(slot, i), m))
		}
	}
	return nil
}

// unpinAfter gives the pins up after an error of one: they would be those of another table.
func (s *mapStore) unpinAfter(err error) {
	if err == nil || s.folder == nil {
		return
	}
	s.unpinned = errors.Join(err, s.folder.remove())
	s.folder = nil
}

// replace takes an inner map over.
func (s *mapStore) replace(slot uint32, i int, m *ebpf.Map) {
	if old := s.slots[slot][i]; old != nil {
		_ = old.Close() // only the descriptor
	}
	s.slots[slot][i] = m
}

// Put implements [store].
func (s *mapStore) Put(slot uint32, trie bool, keys []key, lines []line) error {
	m := s.slots[slot][one(trie)]
	if len(keys) > 1 {
		_, err := m.BatchUpdate(keys, lines, nil)
		if !errors.Is(err, ebpf.ErrNotSupported) { // tries before Linux 5.13
			return full(err)
		}
	}
	for i := range keys {
		if err := m.Put(&keys[i], lines[i]); err != nil {
			return full(err)
		}
	}
	return nil
}

// full marks the error of a map without room.
func full(err error) error {
	if errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) { // hash, trie
		return fmt.Errorf("%w: %w", errFull, err)
	}
	return err
}

// Delete implements [store].
func (s *mapStore) Delete(slot uint32, trie bool, keys []key) error {
	m := s.slots[slot][one(trie)]
	for len(keys) > 1 {
		n, err := m.BatchDelete(keys, nil)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ebpf.ErrNotSupported): // as in Put
			return deleteSingly(m, keys)
		case !errors.Is(err, ebpf.ErrKeyNotExist):
			return err
		}
		keys = keys[n+1:] // the kernel stops at the first line that is not there
	}
	return deleteSingly(m, keys)
}

func deleteSingly(m *ebpf.Map, keys []key) error {
	for i := range keys {
		if err := m.Delete(&keys[i]); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}

// SetFacts implements [store]: the kernel waits for programs that run before it returns.
// They are pinned before they are read, and have their name afterwards: who looks for the
// facts that are read finds them under one of both names.
func (s *mapStore) SetFacts(f *programFacts) error {
	m, err := ebpf.NewMap(s.facts)
	if err != nil {
		return fmt.Errorf("make facts: %w", err)
	}
	if err := m.Put(uint32(0), f); err != nil {
		return errors.Join(fmt.Errorf("put facts: %w", err), m.Close())
	}
	if s.folder != nil {
		s.unpinAfter(s.folder.aside(pinnedFacts, m.FD()))
	}
	if err := s.objects.Config.Put(uint32(0), m); err != nil {
		return errors.Join(fmt.Errorf("replace facts: %w", err), m.Close())
	}
	if s.folder != nil {
		s.unpinAfter(s.folder.renew(pinnedFacts))
	}
	if s.current != nil {
		_ = s.current.Close() // only the descriptor
	}
	s.current = m
	return nil
}

// awaitRuns returns when no processor runs the program any more that was detached, so that
// it counts nothing from then on: whenever a map is put into another one, the kernel waits
// for that (maybe_wait_bpf_programs), whichever maps they are. These are of this call alone,
// because others may have made those of the program read-only.
func (s *mapStore) awaitRuns() (err error) {
	if s.current == nil { // nothing has answered
		return nil
	}
	inner, err := ebpf.NewMap(s.facts)
	if err != nil {
		return fmt.Errorf("wait for the program's end: %w", err)
	}
	defer func() { err = errors.Join(err, inner.Close()) }()
	outer, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: s.facts})
	if err != nil {
		return fmt.Errorf("wait for the program's end: %w", err)
	}
	defer func() { err = errors.Join(err, outer.Close()) }()
	if err := outer.Put(uint32(0), inner); err != nil {
		return fmt.Errorf("wait for the program's end: %w", err)
	}
	return nil
}

// close releases the descriptors.
func (s *mapStore) close() error {
	for slot := range uint32(len(s.slots)) {
		for i := range s.slots[slot] {
			s.replace(slot, i, nil)
		}
	}
	if s.current != nil {
		_ = s.current.Close()
		s.current = nil
	}
	return s.objects.Close()
}
