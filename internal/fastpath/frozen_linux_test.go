// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// frozen returns what freezes a map that is pinned.
func frozen(name string) func(t *testing.T, s *stage) {
	return func(t *testing.T, s *stage) {
		t.Helper()
		m, err := ebpf.LoadPinnedMap(filepath.Join(s.folderPath(), name), nil)
		check(t, err)
		check(t, m.Freeze())
		check(t, m.Close())
	}
}

// takesChanges reports whether there is a program, all of whose maps can be written that are in use.
func takesChanges(r *Responder) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fast == nil {
		return false
	}
	p := r.fast.program
	p.mu.Lock()
	defer p.mu.Unlock()
	err := unfrozen(p.objects.outer(), p.aboutMap)
	for i, m := range p.maps.slots[p.table.facts.Slot] {
		err = errors.Join(err, notFrozen(slotName(p.table.facts.Slot, i), m))
	}
	return err == nil
}

// TestFrozen has another make maps read-only while the daemon runs: those that only the
// daemon can replace as a whole end the program, which status says, and another one with
// maps of its own takes its place. No sign of life being given is not waited for.
func TestFrozen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lost bool // until it is tried again
	}{
		programMapLife: {lost: true}, pinnedAbout: {lost: true}, programMapConfig: {lost: true},
		programMapLines: {lost: true}, programMapTries: {lost: true},
		slotName(1, 0): {}, slotName(1, 1): {}, // the slot of the first table
		programMapCounters: {}, // which the program alone writes
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			var log Logged
			s.options.Log = slog.New(slog.NewTextHandler(&log, nil))
			s.options.within = func(f func()) { _ = s.node.Do(func() error { f(); return nil }) }
			var mu sync.Mutex
			var r *Responder
			var paths []ndp.Path
			s.changed = func() {
				mu.Lock()
				defer mu.Unlock()
				paths = append(paths, r.Path())
			}
			mu.Lock()
			r = s.listen(view(t, static("2001:db8:f1::/64")))
			mu.Unlock()
			s.want("at first", "2001:db8:f1::1", true)
			frozen(name)(t, s)
			r.fast.wake() // has a sign of life be tried
			s.want("frozen", "2001:db8:f1::1", true)
			s.eventually("maps that can be written", func() bool { return takesChanges(r) })
			check(t, r.CountDrops())
			before := s.byProgram()
			s.want("afterwards", "2001:db8:f1::1", true)
			check(t, r.CountDrops())
			if n := s.byProgram(); n != before+1 {
				t.Errorf("%d answers are counted of the program, not %d", n, before+1)
			}
			mu.Lock()
			seen := paths
			mu.Unlock()
			if len(seen) > 0 != c.lost {
				t.Errorf("the paths were %+v", seen)
			}
			if len(seen) > 0 && (seen[0].Way != ndp.WaySocket || !strings.Contains(seen[0].Why, errFrozen.Error()) && !strings.Contains(seen[0].Why, "give sign of life")) {
				t.Errorf("the path became %+v", seen[0])
			}
			check(t, r.Close())
			if log.Has("detaching the program failed") {
				t.Errorf("the log says that the program stays, which was detached: %s", log.String())
			}
		})
	}
}

// TestFrozenHeld detaches at the end of the process a program that cannot be told for how
// long it is to answer.
func TestFrozenHeld(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	s.want("at first", "2001:db8:f1::1", true)
	frozen(programMapLife)(t, s)
	check(t, r.Hold())
	s.want("ended", "2001:db8:f1::1", false)
}
