// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func (s *stage) rename(from, to string) {
	s.t.Helper()
	l, err := s.node.Link.LinkByName(from)
	check(s.t, err)
	check(s.t, s.node.Link.LinkSetDown(l))
	check(s.t, s.node.Link.LinkSetName(l, to))
	check(s.t, s.node.Link.LinkSetUp(l))
}

// wantSoon asks until there is an answer: a device that is up again carries nothing yet.
func (s *stage) wantSoon(what, target string) {
	s.t.Helper()
	s.eventually(what+": an answer", func() bool { _, ok := s.answered(target, silence); return ok })
}

// usesOnly has the device be the one uplink, as the daemon says: index is that of the device that
// it follows, 0 for none.
func usesOnly(follows int) func(device string, index int) bool {
	return func(device string, index int) bool {
		if device == onDevice {
			return index != 0 || follows != 0
		}
		return index != 0 && index == follows
	}
}

// usesNone is what a daemon without uplinks says.
func usesNone(string, int) bool { return false }

// TestSweepStray ends what is on a device that was renamed or moved to another network
// namespace while no daemon ran, with an uplink of the old name and without one.
func TestSweepStray(t *testing.T) {
	t.Parallel()
	move := func(t *testing.T, s *stage) {
		t.Helper()
		l, err := s.node.Link.LinkByName(onDevice)
		check(t, err)
		check(t, s.router.Do(func() error { return s.node.Link.LinkSetNsPid(l, unix.Gettid()) }))
		l, err = s.router.Link.LinkByName(onDevice)
		check(t, err)
		check(t, s.router.Link.LinkSetUp(l))
	}
	for name, away := range map[string]func(t *testing.T, s *stage){
		"renamed": func(_ *testing.T, s *stage) { s.rename(onDevice, "renamed") },
		"moved":   move,
	} {
		for _, clsact := range []bool{false, true} {
			if clsact && name == "moved" { // which ends all filters
				continue
			}
			for uplinks, of := range map[string]func(string, int) bool{"the uplink is away": usesOnly(0), "none": usesNone} {
				t.Run(name+", "+uplinks+map[bool]string{true: ", clsact"}[clsact], func(t *testing.T) {
					t.Parallel()
					s := newStage(t)
					s.options.withoutTCX = clsact
					r := s.listen(view(t, static("2001:db8:f2::/64")))
					s.want("first", "2001:db8:f2::1", true)
					crash(t, r)
					away(t, s)
					s.wantSoon("away", "2001:db8:f2::1")
					var removed []string
					check(t, s.node.Do(func() (err error) { removed, err = Sweep(s.directory, of); return err }))
					s.want("swept", "2001:db8:f2::2", false) // late answers are for the other
					if len(removed) == 0 {
						t.Error("nothing is removed")
					}
					if left, err := filepath.Glob(filepath.Join(s.directory, "*", "*")); err != nil || len(left) > 0 {
						t.Errorf("%v is left, %v", left, err)
					}
				})
			}
		}
	}
}

// TestSweepUplinks leaves alone what uplinks answer with, also where their device was
// renamed since.
func TestSweepUplinks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.listen(view(t, static("2001:db8:f2::/64")))
	s.rename(onDevice, "renamed")
	check(t, s.node.Do(func() error {
		removed, err := Sweep(s.directory, usesOnly(r.Index()))
		if len(removed) > 0 {
			t.Errorf("removed is %q", removed)
		}
		return err
	}))
	s.wantSoon("swept", "2001:db8:f2::1")
	check(t, s.node.Do(r.Close))
}

// TestSweepBeside has an uplink come while a daemon removes what an earlier one has left: its
// program and its pins stay.
func TestSweepBeside(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var cookie uint64
	check(t, s.node.Do(func() (err error) { cookie, err = namespaceCookie(); return err }))
	check(t, os.MkdirAll(filepath.Join(namespaceFolder(s.directory, cookie), "gone"), 0o700))
	var r *Responder
	var removed []string
	check(t, s.node.Do(func() (err error) {
		removed, err = Sweep(s.directory, func(device string, index int) bool {
			if r != nil {
				return usesOnly(r.Index())(device, index)
			}
			if r, err = s.listenHere(view(t, static("2001:db8:f2::/64"))); err != nil {
				t.Error(err)
			}
			return false
		})
		return err
	}))
	if len(removed) != 1 {
		t.Errorf("removed is %q", removed)
	}
	if n := s.programsOn(onDevice); n != 1 || r.Path().Pinned == "" || !r.fast.program.owned() {
		t.Errorf("%d programs of the daemon are attached, and the path is %+v", n, r.Path())
	}
	s.want("swept", "2001:db8:f2::1", true)
	check(t, s.node.Do(r.Close))
}
