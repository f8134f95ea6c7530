// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestUnpinned answers by a program that ends with the daemon where it cannot be pinned.
func TestUnpinned(t *testing.T) {
	t.Parallel()
	full := errors.New("no room")
	for name, c := range map[string]struct {
		prepare func(t *testing.T, s *stage)
		mode    rules.FastPathMode
		way     ndp.Way
		says    string
	}{
		"full": {func(_ *testing.T, s *stage) {
			s.options.pinWith = func(int, string) error { return full }
		}, rules.FastPathTC, ndp.WayTC, full.Error()},
		"full in the middle": {func(_ *testing.T, s *stage) {
			n := 0
			s.options.pinWith = func(fd int, path string) error {
				if n++; n > 7 {
					return full
				}
				return pinObject(fd, path)
			}
		}, rules.FastPathAuto, ndp.WayTC, full.Error()},
		"read-only": {func(t *testing.T, s *stage) {
			check(t, unix.Mount("", filepath.Dir(s.directory), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}, rules.FastPathTC, ndp.WayTC, "read-only file system"},
		"read-only, by itself": {func(t *testing.T, s *stage) {
			check(t, unix.Mount("", filepath.Dir(s.directory), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}, rules.FastPathAuto, ndp.WayTC, "read-only file system"},
		"no bpffs":            {func(t *testing.T, s *stage) { s.options.Directory = t.TempDir() }, rules.FastPathTC, ndp.WayTC, "is not in a bpffs"},
		"no bpffs, by itself": {func(t *testing.T, s *stage) { s.options.Directory = t.TempDir() }, rules.FastPathAuto, ndp.WaySocket, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			c.prepare(t, s)
			s.config.FastPath = c.mode
			r := s.listen(view(t, static("2001:db8:f1::/64")))
			p := r.Path()
			if p.Pinned != "" || !strings.Contains(p.Unpinned, c.says) || p.Way != c.way || (p.Unpinned == "") != (c.says == "") {
				t.Errorf("the path is %+v", p)
			}
			s.want("running", "2001:db8:f1::1", true)
			check(t, r.Hold())
			s.want("ended", "2001:db8:f1::1", false)
			if left, err := filepath.Glob(filepath.Join(s.directory, "*", "*")); err != nil || len(left) > 0 {
				t.Errorf("%v is left, %v", left, err)
			}
		})
	}
}

// TestPinsLost goes on without pins where one cannot be made any more, rather than with
// those of another table.
func TestPinsLost(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var broken error
	s.options.pinWith = func(fd int, path string) error {
		if broken != nil {
			return broken
		}
		return pinObject(fd, path)
	}
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	if p := r.Path(); p.Pinned == "" {
		t.Fatalf("the path is %+v", p)
	}
	broken = errors.New("no room")
	check(t, r.SetView(view(t, static("2001:db8:f2::/64")), nil))
	if p := r.Path(); p.Pinned != "" || p.Unpinned != "no room" {
		t.Errorf("the path is %+v", p)
	}
	s.want("without pins", "2001:db8:f2::1", true)
	check(t, r.CountDrops())
	if n := s.byProgram(); n != 1 {
		t.Errorf("%d answers are the program's", n)
	}
	check(t, r.Hold())
	s.want("ended", "2001:db8:f2::1", false)
}

// TestPinsRemoved has somebody remove the pins of a program that runs: it is pinned anew.
func TestPinsRemoved(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	pinned := r.Path().Pinned
	check(t, os.RemoveAll(pinned))
	s.eventually("new pins", func() bool {
		_, err := os.Lstat(filepath.Join(pinned, pinnedAbout))
		return err == nil
	})
	crash(t, r)
	s.want("after the crash", "2001:db8:f1::1", true)
}
