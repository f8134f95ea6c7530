// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// hears returns what the device hears by itself.
func (s *stage) hears() (allMulticast bool, groups []uint32) {
	s.t.Helper()
	check(s.t, s.node.Do(func() error {
		l, err := s.node.Link.LinkByName(onDevice)
		if err != nil {
			return err
		}
		allMulticast = l.Attrs().RawFlags&unix.IFF_ALLMULTI != 0
		groups, err = keptGroups(l.Attrs().Index)
		return err
	}))
	slices.Sort(groups)
	return allMulticast, groups
}

func (s *stage) wantHears(what string, allMulticast bool, groups ...uint32) {
	s.t.Helper()
	if a, g := s.hears(); a != allMulticast || !slices.Equal(g, groups) {
		s.t.Errorf("%s: all-multicast %v, groups %x", what, a, g)
	}
}

// TestHearing has the device go on to hear what the program answers when the sockets end,
// and takes that back.
func TestHearing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := view(t, static("2001:db8:f1::/64"))
	r := s.listen(v)
	check(t, r.SetAllMulticast(true))
	r.KeepGroup(1, true)
	r.KeepGroup(0xabcdef, true)
	r.KeepGroup(2, true)
	r.KeepGroup(2, false)
	s.wantHears("running", true, 1, 0xabcdef)
	check(t, r.SetAllMulticast(false)) // as the membership ends
	check(t, r.Hold())
	s.wantHears("ended", true, 1, 0xabcdef)

	r = s.listen(v)
	r.KeepGroup(1, true)
	r.KeepGroup(3, true)
	s.wantHears("the next one", true, 1, 3, 0xabcdef)
	check(t, s.node.Do(func() error { r.Settle(); return nil }))
	s.wantHears("settled", false, 1, 3)
	check(t, s.node.Do(r.Close))
	s.wantHears("closed", false)

	r = s.listen(v)
	check(t, r.SetAllMulticast(true))
	r.KeepGroup(1, true)
	crash(t, r)
	s.wantHears("killed", true, 1)
	check(t, s.node.Do(func() error {
		_, err := Detach(DetachOptions{Directory: s.directory, Daemon: func() (string, func(string) bool) { return "", nil }})
		return err
	}))
	s.wantHears("detached", false)

	l, err := s.node.Link.LinkByName(onDevice)
	check(t, err)
	check(t, s.node.Link.LinkSetAllmulticastOn(l)) // by the operator
	r = s.listen(v)
	check(t, r.SetAllMulticast(true))
	check(t, s.node.Do(r.Close))
	s.wantHears("set by the operator", true)
}

// TestHearingReplaced replaces a membership by one that begins before the other ends, as
// an uplink does whose socket is opened anew: the device hears all after a kill as well.
func TestHearingReplaced(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := view(t, static("2001:db8:f1::/64"))
	r := s.listen(v)
	check(t, r.SetAllMulticast(true))
	check(t, r.SetAllMulticast(true))
	check(t, r.SetAllMulticast(false))
	check(t, s.node.Do(func() error { r.Settle(); return nil }))
	s.wantHears("settled", true)
	crash(t, r)
	s.wantHears("killed", true)
	r = s.listen(v)
	check(t, r.SetAllMulticast(true))
	check(t, r.SetAllMulticast(true))
	check(t, r.SetAllMulticast(false))
	check(t, r.SetAllMulticast(false))
	check(t, s.node.Do(func() error { r.Settle(); return nil }))
	s.wantHears("wanted by nobody", false)
	check(t, s.node.Do(r.Close))
}

// TestHearingPinnedLate has the device go on to hear where the program is pinned only after
// the memberships have begun.
func TestHearingPinnedLate(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var broken atomic.Bool
	broken.Store(true)
	s.options.pinWith = func(fd int, path string) error {
		if broken.Load() {
			return errors.New("no room")
		}
		return pinObject(fd, path)
	}
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	check(t, r.SetAllMulticast(true))
	r.KeepGroup(1, true)
	s.wantHears("not pinned", false)
	broken.Store(false)
	s.eventually("pins", func() bool { return r.Path().Pinned != "" })
	check(t, r.SetAllMulticast(false)) // as the membership ends
	crash(t, r)
	s.wantHears("killed", true, 1)
	check(t, s.node.Do(s.listen(view(t)).Close))
	s.wantHears("closed", false)
}

// TestHearingNotTakenOver takes back what the device hears where the program answers no
// more once the daemon starts again.
func TestHearingNotTakenOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]rules.Uplink{
		"a limit":              {FastPath: rules.FastPathTC, LimitPerAsker: 1},
		"another way, a limit": {FastPath: rules.FastPathXDPGeneric, LimitPerAsker: 1},
		"off":                  {FastPath: rules.FastPathOff},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			v := view(t, static("2001:db8:f1::/64"))
			r := s.listen(v)
			check(t, r.SetAllMulticast(true))
			r.KeepGroup(1, true)
			crash(t, r)
			s.wantHears("killed", true, 1)
			c.Interface = onDevice
			s.config = c
			r = s.listen(v)
			s.wantHears("not taken over", false)
			if left, err := filepath.Glob(filepath.Join(s.directory, "*", "*")); err != nil || len(left) > 0 {
				t.Errorf("%v is left, %v", left, err)
			}
			check(t, s.node.Do(r.Close))
		})
	}
}
