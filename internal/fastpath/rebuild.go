// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// leastRoom is how many lines a map has room for at least.
const leastRoom = 1024

// rebuild writes all lines of a view into the slot that the program does not read, and
// lets the program read that one: it sees all of the view or nothing of it.
func (t *table) rebuild(view *rules.View) error {
	next := *t
	next.view, next.counts, next.shared = view, [129]int{}, 0
	next.facts.Slot = 1 - t.facts.Slot
	for p, v := range view.Decisions() {
		next.counts[p.Bits()]++
		next.shared += one(v.Service)
		next.inherited.take(p, v)
	}
	next.inherited.keepCovered(view)
	lengths := next.lengths()
	next.choose(lengths)
	if err := next.fill(lengths); err != nil {
		return err
	}
	if err := t.store.SetFacts(&next.facts); err != nil {
		return err
	}
	*t = next
	return nil
}

// lengths returns how many lines of each length there are, the inherited ones among them.
func (t *table) lengths() [129]int {
	n := t.counts
	for p := range t.inherited.all() {
		if _, is := t.view.Line(p); !is {
			n[p.Bits()]++
		}
	}
	return n
}

// choose gives the lengths with most lines a place in the hash: a look-up there costs a
// fraction of one in a trie, but one for each length.
func (t *table) choose(counts [129]int) {
	var lengths []int
	for length, n := range counts {
		if n > 0 {
			lengths = append(lengths, length)
		}
	}
	slices.SortStableFunc(lengths, func(a, b int) int { return cmp.Compare(counts[b], counts[a]) })
	t.facts.HasTrie = uint32(one(len(lengths) > maxClasses)) //nolint:gosec // 0 or 1
	t.setClasses(lengths[:min(len(lengths), maxClasses)])
}

// fill makes the slot's maps and writes all lines.
func (t *table) fill(counts [129]int) error {
	var n [2]int
	for length, c := range counts {
		n[t.mapOf(length)] += c
	}
	if err := t.store.Make(t.facts.Slot, room(n[0]), room(n[1])); err != nil {
		return err
	}
	w := writer{table: t}
	for p, v := range t.view.Decisions() {
		l, stays := t.inherited.take(p, v)
		if !stays {
			l = lineOf(p, v)
		}
		if err := w.add(p, l); err != nil {
			return err
		}
	}
	for p, l := range t.inherited.all() {
		if err := w.add(p, l); err != nil { // those that have a line in the view are written twice
			return err
		}
	}
	return w.flush()
}

// room returns for how many lines a map is made that has n: twice as many, so that it is
// rarely made anew. The memory of a line is taken when it is there.
func room(n int) int { return max(leastRoom, 1<<bits.Len(uint(n*2))) }
