// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// store is where a table keeps its lines: the program's maps, or a fake. There are two
// slots, of which the facts name the one that the program reads.
type store interface {
	// Make makes both maps of a slot anew, with room for that many lines in each.
	Make(slot uint32, lines, tries int) error
	// Put adds lines to a slot, or replaces those that are there, one after the other. It
	// fails with errFull when there is no room; those before are there then.
	Put(slot uint32, trie bool, keys []key, lines []line) error
	// Delete removes those of the lines that are there, one after the other.
	Delete(slot uint32, trie bool, keys []key) error
	// SetFacts replaces the facts: afterwards no processor reads the ones before.
	SetFacts(f *programFacts) error
}

// errFull says that a map has no room for another line.
var errFull = errors.New("the map is full")

// longestChange is how many differences take no longer to be written, many at a time, than what it
// takes to make the maps of a table anew, without their lines.
const longestChange = 1 << 14

// table brings the program's lines into line with views. It is not safe for concurrent
// use. After an error nothing is known of what the program reads.
type table struct {
	store     store
	facts     programFacts
	view      *rules.View
	classes   []int      // the lengths that have a place in the hash, longest first
	counts    [129]int   // lines of the view, by length
	shared    int        // lines that other nodes take over
	inherited *inherited // nil when nothing is inherited
}

// lines returns how many lines there are of the view.
func (t *table) lines() int {
	n := 0
	for _, c := range t.counts {
		n += c
	}
	return n
}

// setFacts gives the program other facts of the interface.
func (t *table) setFacts(f programFacts) error {
	f.Slot, f.HasTrie, f.Classes, f.Class = t.facts.Slot, t.facts.HasTrie, t.facts.Classes, t.facts.Class
	if f == t.facts {
		return nil
	}
	t.facts = f
	return t.store.SetFacts(&t.facts)
}

// setView makes the program answer by another view, which differs from the last one by
// deltas. Rules that changed are seen as a whole or not at all.
func (t *table) setView(view *rules.View, deltas []rules.Delta) error {
	if !view.SameRules(t.view) || t.isSoonerAnew(deltas) {
		return t.rebuild(view)
	}
	t.view = view
	err := t.apply(deltas)
	if errors.Is(err, errFull) {
		return t.rebuild(view)
	}
	return err
}

// isSoonerAnew reports whether a table takes less time to be made anew than to be changed by
// deltas: a line takes as long to be written as it takes to be changed or removed.
func (t *table) isSoonerAnew(deltas []rules.Delta) bool {
	if len(deltas) <= longestChange {
		return false
	}
	lines := t.lines()
	for _, d := range deltas {
		lines += one(!isNone(d.After)) - one(!isNone(d.Before))
	}
	return lines <= len(deltas)
}

// apply changes those lines that differ. First those that fall silent do, then those that are
// answered, and last those go that are no more, see [table.remove]. So no target is answered
// that neither of the two views answers, and one of which the program does not know for a
// moment is passed up.
func (t *table) apply(deltas []rules.Delta) error {
	w := writer{table: t}
	for _, answered := range []bool{false, true} {
		for _, d := range deltas {
			if isNone(d.After) || d.After.Answer != answered {
				continue
			}
			if err := t.put(&w, d.Prefix, d.After); err != nil {
				return err
			}
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	n := 0
	for _, d := range deltas {
		n += one(isNone(d.After))
	}
	gone := make([]netip.Prefix, 0, n)
	for _, d := range deltas {
		t.counts[d.Prefix.Bits()] += one(!isNone(d.After)) - one(!isNone(d.Before))
		t.shared += one(d.After.Service) - one(d.Before.Service)
		if isNone(d.After) && !t.inherited.keeps(d.Prefix) {
			gone = append(gone, d.Prefix)
		}
	}
	return t.remove(gone)
}

// settle gives up the inherited lines: those that the view has as well fall silent, and the
// others go.
func (t *table) settle() error {
	earlier := t.inherited
	t.inherited = nil
	w := writer{table: t}
	var gone []netip.Prefix
	for p := range earlier.all() {
		v, is := t.view.Line(p)
		if !is {
			gone = append(gone, p)
			continue
		}
		if err := t.put(&w, p, v); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	return t.remove(gone)
}

// isNone reports whether a verdict stands for a line that does not exist.
func isNone(v rules.Verdict) bool { return v == rules.Verdict{} }

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// put has the line of a verdict be written, unless an inherited one stays.
func (t *table) put(w *writer, p netip.Prefix, v rules.Verdict) error {
	if _, stays := t.inherited.take(p, v); stays {
		return nil
	}
	if err := t.place(p.Bits()); err != nil {
		return err
	}
	return w.add(p, lineOf(p, v))
}

// remove removes lines, the widest first: a line that goes shows the wider one, which is right
// by then, because of those around it only such are left that stay.
func (t *table) remove(gone []netip.Prefix) error {
	slices.SortFunc(gone, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
	keys := make([]key, 0, min(len(gone), batch))
	for i, p := range gone {
		keys = append(keys, keyOf(p))
		if len(keys) < batch && i+1 < len(gone) && gone[i+1].Bits() == p.Bits() {
			continue
		}
		if err := t.store.Delete(t.facts.Slot, t.mapOf(p.Bits()) == 1, keys); err != nil {
			return fmt.Errorf("delete lines of length %d: %w", p.Bits(), err)
		}
		keys = keys[:0]
	}
	return nil
}

// place finds a place for lines of a length. Of one that is new, the program has to know
// before it has a line.
func (t *table) place(bits int) error {
	switch {
	case slices.Contains(t.classes, bits):
		return nil
	case len(t.classes) < maxClasses:
		t.setClasses(append(slices.Clone(t.classes), bits))
	case t.facts.HasTrie == 1:
		return nil
	default:
		t.facts.HasTrie = 1
	}
	return t.store.SetFacts(&t.facts)
}

// mapOf returns 0 for a length whose lines are in the hash, and 1 for the trie.
func (t *table) mapOf(length int) int { return one(!slices.Contains(t.classes, length)) }

// setClasses puts the lengths into the facts that have a place in the hash.
func (t *table) setClasses(lengths []int) {
	slices.SortFunc(lengths, func(a, b int) int { return b - a })
	t.classes = lengths
	t.facts.Classes = count(lengths)
	for i, bits := range lengths {
		c := &t.facts.Class[i]
		c.Bits = uint32(bits) //nolint:gosec // 0 to 128
		c.Mask.High, c.Mask.Low = mask(bits)
	}
	for i := len(lengths); i < maxClasses; i++ {
		c := &t.facts.Class[i]
		c.Bits, c.Mask.High, c.Mask.Low = 0, 0, 0
	}
}
