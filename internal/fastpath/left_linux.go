// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// left is what an earlier daemon has left of an interface. Whoever opens it closes it,
// which ends nothing that is pinned.
type left struct {
	folder *folder
	link   link.Link // nil where the way to attach has none
	// unusable says why the maps cannot be gone on with, as those of another version; then
	// there is nothing of what follows.
	unusable error
	about    about
	aboutMap *ebpf.Map            // which about was read from
	outer    map[string]*ebpf.Map // by the names in the program
	facts    programFacts         // those that the program reads
	inner    [2]*ebpf.Map         // the hash and the trie that it reads
	tag      string               // of the program
	program  ebpf.ProgramID       // the one that the daemon had attached
}

// open opens what is in a folder, nil where there is nothing.
func open(f *folder) (*left, error) {
	if found, err := f.find(); err != nil || !found {
		return nil, err
	}
	l := &left{folder: f, outer: make(map[string]*ebpf.Map)}
	var err error
	if l.link, err = f.openLink(); err != nil {
		return nil, errors.Join(err, f.remove()) // its device is gone
	}
	if l.unusable = l.openMaps(); l.unusable != nil {
		l.closeMaps()
	}
	return l, nil
}

// openMaps opens the maps, and fails where another daemon of this version could not have
// left them as they are.
func (l *left) openMaps() (err error) {
	if l.aboutMap, err = l.folder.openMap(pinnedAbout, aboutSpec()); err != nil {
		return err
	}
	if l.about, err = readAbout(l.aboutMap); err != nil {
		return err
	}
	if l.about.Layout != layout {
		return fmt.Errorf("the maps are those of another version")
	}
	spec, err := loadProgram()
	if err != nil {
		return fmt.Errorf("read program: %w", err)
	}
	for name, s := range spec.Maps {
		m, err := l.folder.openMap(name, s)
		if err != nil {
			return err
		}
		l.outer[name] = m
	}
	if err := unfrozen(l.outer, l.aboutMap); err != nil {
		return err
	}
	if err := l.openFacts(spec.Maps[programMapConfig].InnerMap); err != nil {
		return err
	}
	for i, name := range []string{programMapLines, programMapTries} {
		if l.inner[i], err = l.folder.openMap(slotName(l.facts.Slot, i), spec.Maps[name].InnerMap); err != nil {
			return err
		}
		if !holds(l.outer[name], l.facts.Slot, l.inner[i]) {
			return fmt.Errorf("the map pinned as %s is not the one that the program reads", slotName(l.facts.Slot, i))
		}
	}
	p, err := ebpf.LoadPinnedProgram(filepath.Join(l.folder.path, pinnedProgram), nil)
	if err != nil {
		return fmt.Errorf("open pinned program: %w", err)
	}
	l.tag, err = tagOf(p)
	if err == nil {
		l.program, err = idOf(p)
	}
	return errors.Join(err, p.Close())
}

// openFacts reads the facts that the program reads, which have one of two names.
func (l *left) openFacts(spec *ebpf.MapSpec) error {
	for _, name := range []string{pinnedFacts, pinnedFacts + newSuffix} {
		m, err := l.folder.openMap(name, spec)
		if err != nil {
			continue
		}
		found := holds(l.outer[programMapConfig], 0, m)
		if found {
			err = m.Lookup(uint32(0), &l.facts)
		}
		if err := errors.Join(err, m.Close()); err != nil || found {
			return err
		}
	}
	return errors.New("the facts that the program reads are not pinned")
}

// holds reports whether a map is the one in a slot of an outer map.
func holds(outer *ebpf.Map, slot uint32, m *ebpf.Map) bool {
	var held ebpf.MapID
	if outer.Lookup(slot, &held) != nil {
		return false
	}
	info, err := m.Info()
	if err != nil {
		return false
	}
	id, ok := info.ID()
	return ok && id == held
}

// tagOf returns what tells a program from others, by its instructions.
func tagOf(p *ebpf.Program) (string, error) {
	info, err := p.Info()
	if err != nil {
		return "", fmt.Errorf("look at program: %w", err)
	}
	return info.Tag, nil
}

// on reports whether the program is attached to the device with that index, of the calling
// thread's network namespace.
func (l *left) on(index int) bool {
	if l.link != nil {
		info, err := l.link.Info()
		return err == nil && attachedIndex(info) == index && linkedTo(index, info)
	}
	return l.unusable == nil && int(l.about.Index) == index
}

// reusable reports whether its maps can be gone on with, for a program that is attached that way.
func (l *left) reusable(w ndp.Way) bool { return l != nil && l.unusable == nil && l.about.way() == w }

// believed reports whether the program answers still.
func (l *left) believed() bool {
	var d programDeadlines
	now, err := kernelTime()
	return err == nil && l.unusable == nil && l.outer[programMapLife].Lookup(uint32(0), &d) == nil && now < d.Until
}

// lines reads the table.
func (l *left) lines() (map[netip.Prefix]line, error) {
	all := make(map[netip.Prefix]line)
	if l.unusable != nil {
		return all, nil
	}
	for _, m := range l.inner {
		if err := readLines(m, all); err != nil {
			return nil, fmt.Errorf("read table: %w", err)
		}
	}
	return all, nil
}

// readLines reads a map, many lines at a time where the kernel can do so.
func readLines(m *ebpf.Map, into map[netip.Prefix]line) error {
	keys, lines := make([]key, batch), make([]line, batch)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, lines, nil)
		for i := range n {
			into[keys[i].prefix()] = lines[i]
		}
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist): // the last ones
			return nil
		case errors.Is(err, ebpf.ErrNotSupported): // tries before Linux 5.16
			var k key
			var v line
			each := m.Iterate()
			for each.Next(&k, &v) {
				into[k.prefix()] = v
			}
			return each.Err()
		case err != nil:
			return err
		}
	}
}

// count adds what the program has answered since a daemon has counted last, and takes the
// folder from whom it belongs to: a responder of this process that is about to be closed
// neither counts that again nor removes what was pinned since.
func (l *left) count(to *ndp.Counters) error {
	if l.unusable != nil || l.aboutMap == nil { // or the program goes on with them
		return nil
	}
	sum, err := sumOf(l.outer[programMapCounters])
	if err != nil {
		return err
	}
	before := l.about.counts()
	addCounts(to, &sum, &before)
	l.about.setCounts(&sum)
	l.about.Owner = rand.Uint64() //nolint:gosec // no secret
	return l.about.write(l.aboutMap)
}

func (l *left) closeMaps() {
	for _, m := range l.outer {
		_ = m.Close()
	}
	for _, m := range []*ebpf.Map{l.aboutMap, l.inner[0], l.inner[1]} {
		if m != nil {
			_ = m.Close()
		}
	}
	l.outer, l.aboutMap, l.inner = nil, nil, [2]*ebpf.Map{}
}

// detach ends the link, if there is one.
func (l *left) detach() error {
	if l.link == nil {
		return nil
	}
	err := endLink(l.link)
	l.link = nil
	return err
}

// close releases the descriptors that nobody has taken over. A nil *left has none.
func (l *left) close() {
	if l == nil {
		return
	}
	l.closeMaps()
	if l.link != nil {
		_ = l.link.Close()
		l.link = nil
	}
}
