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
	// Put adds lines to a slot, or replaces those that are there. It fails with
	// errFull when there is no room.
	Put(slot uint32, trie bool, keys []key, lines []line) error
	// Delete removes a line, if it is there.
	Delete(slot uint32, trie bool, k key) error
	// SetFacts replaces the facts: afterwards no processor reads the ones before.
	SetFacts(f *programFacts) error
}

// errFull says that a map has no room for another line.
var errFull = errors.New("the map is full")

// longestChange is how many differences are applied one by one. More of them take longer
// than making the table anew.
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
// deltas. Rules that changed are seen as a whole or not at all, and so is a change of
// which much differs.
func (t *table) setView(view *rules.View, deltas []rules.Delta) error {
	if len(deltas) > longestChange || !view.SameRules(t.view) {
		return t.rebuild(view)
	}
	t.view = view
	err := t.apply(deltas)
	if errors.Is(err, errFull) {
		return t.rebuild(view)
	}
	return err
}

// apply changes lines one by one. First those that fall silent do, then those that are
// answered, and last those go that are no more, the widest first: a line that goes shows the
// wider one, which is right by then, because of those around it only such are left that stay.
// So no target is answered that neither of the two views answers, and one of which the
// program does not know for a moment is passed up.
func (t *table) apply(deltas []rules.Delta) error {
	var gone []netip.Prefix
	for _, d := range deltas {
		if d.After.Answer || isNone(d.After) {
			continue
		}
		if err := t.put(d.Prefix, d.After); err != nil {
			return err
		}
	}
	for _, d := range deltas {
		if !d.After.Answer {
			continue
		}
		if err := t.put(d.Prefix, d.After); err != nil {
			return err
		}
	}
	for _, d := range deltas {
		t.counts[d.Prefix.Bits()] += one(!isNone(d.After)) - one(!isNone(d.Before))
		t.shared += one(d.After.Service) - one(d.Before.Service)
		if isNone(d.After) && !t.inherited.keeps(d.Prefix) {
			gone = append(gone, d.Prefix)
		}
	}
	slices.SortFunc(gone, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
	for _, p := range gone {
		if err := t.remove(p); err != nil {
			return err
		}
	}
	return nil
}

// settle gives up the inherited lines.
func (t *table) settle() error {
	earlier := t.inherited
	t.inherited = nil
	if earlier == nil {
		return nil
	}
	for p := range earlier.lines {
		v, is := t.view.Line(p)
		if err := t.put(p, v); err != nil { // first it falls silent
			return err
		}
		if is {
			continue
		}
		if err := t.remove(p); err != nil {
			return err
		}
	}
	return nil
}

// isNone reports whether a verdict stands for a line that does not exist.
func isNone(v rules.Verdict) bool { return v == rules.Verdict{} }

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// put writes the line of a verdict, unless an inherited one stays.
func (t *table) put(p netip.Prefix, v rules.Verdict) error {
	if _, stays := t.inherited.take(p, v); stays {
		return nil
	}
	trie, err := t.place(p.Bits())
	if err != nil {
		return err
	}
	if err := t.store.Put(t.facts.Slot, trie, []key{keyOf(p)}, []line{lineOf(p, v)}); err != nil {
		return fmt.Errorf("put line %s: %w", p, err)
	}
	return nil
}

func (t *table) remove(p netip.Prefix) error {
	if err := t.store.Delete(t.facts.Slot, !slices.Contains(t.classes, p.Bits()), keyOf(p)); err != nil {
		return fmt.Errorf("delete line %s: %w", p, err)
	}
	return nil
}

// place returns whether lines of a length go to the trie. Of a length that is new, the
// program has to know before it has a line.
func (t *table) place(bits int) (trie bool, err error) {
	switch {
	case slices.Contains(t.classes, bits):
		return false, nil
	case len(t.classes) < maxClasses:
		t.setClasses(append(slices.Clone(t.classes), bits))
	case t.facts.HasTrie == 1:
		return true, nil
	default:
		trie, t.facts.HasTrie = true, 1
	}
	return trie, t.store.SetFacts(&t.facts)
}

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
