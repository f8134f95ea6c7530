// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// samples is how many lines are looked up when the table is compared.
const samples = 16

// seen is what the maps looked like at the last look. While the daemon changes nothing,
// it stays the same.
type seen struct {
	changes uint64 // of the daemon
	facts   uint32 // the number of the map of facts
	memory  [2]uint64
}

// answered returns how often the program has answered since it was loaded.
func (p *Program) answered() (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum, err := p.sum()
	return sum.AnsweredMulticast + sum.AnsweredUnicast, err
}

// repair builds the table anew where another process has changed the maps, and reports
// whether one had. It looks at little: whether the maps are in their places, at a few
// lines, and at the memory of the maps, by which Linux 6.4 and newer tell how many lines
// there are.
func (p *Program) repair() (repaired bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.table.view == nil {
		return false, nil
	}
	if now, err := readAbout(p.aboutMap); err != nil || now.Owner != p.about.Owner {
		return false, err // it is for the one that has taken the maps over to look after them
	}
	if err := unfrozen(p.objects.outer(), p.aboutMap); err != nil {
		return false, err
	}
	now, whole, err := p.see()
	if err != nil {
		return false, err
	}
	same := now == p.seen || now.changes != p.seen.changes
	p.seen = now
	if whole && same {
		return false, nil
	}
	if err := p.table.rebuild(p.table.view); err != nil {
		return false, fmt.Errorf("build the table anew, which another has changed: %w", err)
	}
	p.changes++
	return true, nil
}

// see looks at the maps, and reports whether all is there that is looked at.
func (p *Program) see() (now seen, whole bool, err error) {
	now.changes = p.changes
	t, slot := &p.table, p.table.facts.Slot
	if err := p.objects.Config.Lookup(uint32(0), &now.facts); errors.Is(err, ebpf.ErrKeyNotExist) {
		return now, false, nil
	} else if err != nil {
		return now, false, fmt.Errorf("look at the program's facts: %w", err)
	}
	for i, outer := range []*ebpf.Map{p.objects.Lines, p.objects.Tries} {
		inner := p.maps.slots[slot][i]
		info, err := inner.Info()
		if err != nil {
			return now, false, fmt.Errorf("look at the program's table: %w", err)
		}
		var is uint32
		id, _ := info.ID()
		if err := outer.Lookup(slot, &is); err != nil || ebpf.MapID(is) != id || info.Frozen() {
			return now, false, nil //nolint:nilerr // it is not in its place, or takes no lines
		}
		now.memory[i], _ = info.Memlock()
	}
	n := 0
	for prefix, v := range t.view.Decisions() {
		if n++; n > samples {
			break
		}
		if t.inherited.keeps(prefix) {
			continue
		}
		var l line
		k := keyOf(prefix)
		if err := p.maps.slots[slot][t.mapOf(prefix.Bits())].Lookup(&k, &l); err != nil || l != lineOf(prefix, v) {
			return now, false, nil //nolint:nilerr // it is not there
		}
	}
	return now, true, nil
}
