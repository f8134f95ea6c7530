// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"slices"
	"sync"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Changes are published in parts, between which the store's lock is free: of minBatch,
// and at most maxBatches of them, because each copies the table.
const (
	minBatch   = 10_000
	maxBatches = 16
)

// entries are what the files list, all together, as the store has it. The files'
// goroutines share it; its mutex is taken before the store's.
type entries struct {
	store *rules.Store

	mu    sync.Mutex
	files map[string]list // by path
}

// set makes targets what a file lists, and returns how many are new in it and how
// many are gone from it.
func (e *entries) set(path string, next list) (added, removed int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var (
		changes []rules.EntryChange
		now     = time.Now()
		alone   = rules.ListsOf(path)
	)
	change := func(t target, listed bool) {
		lists := rules.Lists{}
		if listed {
			lists = alone
		}
		if others := e.others(path, t); len(others) > 0 {
			if listed {
				others = append(others, path)
			}
			lists = rules.ListsOf(others...)
		}
		changes = append(changes, rules.EntryChange{
			Entry: rules.Entry{Prefix: t.prefix(), Behind: true, Lists: lists, Since: now}, Gone: lists == rules.Lists{},
		})
	}
	compare(e.files[path], next,
		func(t target) { removed++; change(t, false) },
		func(t target) { added++; change(t, true) },
		func(target) {})
	if e.files[path] = next; len(next) == 0 {
		delete(e.files, path)
	}
	for part := range slices.Chunk(changes, max(minBatch, (len(changes)+maxBatches-1)/maxBatches)) {
		e.store.Update(rules.Listed, part)
	}
	return added, removed
}

// others returns the other files that list a target.
func (e *entries) others(path string, t target) []string {
	var paths []string
	for other, l := range e.files {
		if other != path && l.has(t) {
			paths = append(paths, other)
		}
	}
	return paths
}
