// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"net/netip"
)

// batch is how many lines are written or removed at a time.
const batch = 4096

// writer writes the lines of a table's slot many at a time. Between two flushes, lines are
// written in no particular order.
type writer struct {
	table *table
	// What waits for the hash, and for the trie.
	keys  [2][]key
	lines [2][]line
}

// add has a line be written.
func (w *writer) add(p netip.Prefix, l line) error {
	i := w.table.mapOf(p.Bits())
	w.keys[i], w.lines[i] = append(w.keys[i], keyOf(p)), append(w.lines[i], l)
	if len(w.keys[i]) < batch {
		return nil
	}
	return w.write(i)
}

// flush writes what waits.
func (w *writer) flush() error { return errors.Join(w.write(0), w.write(1)) }

func (w *writer) write(i int) error {
	if len(w.keys[i]) == 0 {
		return nil
	}
	err := w.table.store.Put(w.table.facts.Slot, i == 1, w.keys[i], w.lines[i])
	w.keys[i], w.lines[i] = w.keys[i][:0], w.lines[i][:0]
	if err != nil {
		return fmt.Errorf("write lines: %w", err)
	}
	return nil
}
