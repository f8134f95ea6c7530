// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// strayKinds are the ways to attach a program, and what the daemon after it is set to.
var strayKinds = []struct {
	name       string
	was, wants rules.FastPathMode
	clsact     bool
}{
	{"tc", rules.FastPathTC, rules.FastPathTC, false},
	{"xdp-generic", rules.FastPathXDPGeneric, rules.FastPathXDPGeneric, false},
	{"clsact", rules.FastPathTC, rules.FastPathTC, true},
	{"xdp-generic, then tc", rules.FastPathXDPGeneric, rules.FastPathTC, false},
	{"tc, then xdp-generic", rules.FastPathTC, rules.FastPathXDPGeneric, false},
	{"tc, then none", rules.FastPathTC, rules.FastPathOff, false},
	{"xdp-generic, then none", rules.FastPathXDPGeneric, rules.FastPathOff, false},
}

// fewKinds is how many of them are tried with each loss.
const fewKinds = 2

// TestStray has a daemon be killed that has a rule more, and its pins be lost: what it has
// left must not go on answering beside the next one, nor behind "ndproxyd detach".
func TestStray(t *testing.T) {
	t.Parallel()
	for lost, lose := range lostPins {
		for i, kind := range strayKinds {
			if i >= fewKinds && lost != "another directory" { // they differ in how they are attached
				continue
			}
			t.Run(lost+", "+kind.name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				s.config.FastPath, s.options.withoutTCX = kind.was, kind.clsact
				r := s.listen(view(t, static("2001:db8:f1::/64"), static("2001:db8:f2::/64")))
				s.want("first", "2001:db8:f2::1", true)
				pinned := r.Path().Pinned
				crash(t, r)
				s.want("after the crash", "2001:db8:f2::1", true)
				lose(t, s, pinned)
				s.config.FastPath = kind.wants
				r = s.listen(view(t, static("2001:db8:f1::/64")))
				programs := 1
				if kind.wants == rules.FastPathOff {
					programs = 0
				}
				if n := s.programsOn(onDevice); n != programs {
					t.Errorf("%d programs are attached, not %d", n, programs)
				}
				if p := r.Path(); (p.Way != ndp.WaySocket) != (programs == 1) || p.Left != "" {
					t.Errorf("the path is %+v", p)
				}
				s.want("again", "2001:db8:f1::1", true)
				s.want("again", "2001:db8:f2::1", false)
				if err := s.node.Do(r.Close); err != nil && !errors.Is(err, unix.EROFS) {
					t.Error(err)
				}
				if n := s.programsOn(onDevice); n != 0 {
					t.Errorf("closed, %d programs are attached", n)
				}
			})
		}
	}
}

// TestStrayByPins has a daemon end the program that an earlier one has pinned elsewhere by
// what it sees of the pins, as it may not read the names of programs.
func TestStrayByPins(t *testing.T) {
	t.Parallel()
	for _, mode := range []rules.FastPathMode{rules.FastPathTC, rules.FastPathXDPGeneric} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config.FastPath = mode
			crash(t, s.listen(view(t, static("2001:db8:f1::/64"), static("2001:db8:f2::/64"))))
			s.options.Directory += "2"
			s.options.within = s.lowly(0, unix.CAP_NET_RAW, unix.CAP_NET_ADMIN, unix.CAP_BPF)
			var r *Responder
			var err error
			s.options.within(func() { r, err = s.listenHere(view(t, static("2001:db8:f1::/64"))) })
			check(t, err)
			if p := r.Path(); p.Way == ndp.WaySocket || p.Left != "" {
				t.Errorf("the path is %+v", p)
			}
			if n := s.programsOn(onDevice); n != 1 {
				t.Errorf("%d programs are attached", n)
			}
			s.want("again", "2001:db8:f1::1", true)
			s.want("again", "2001:db8:f2::1", false)
			s.options.within(func() { err = r.Close() })
			check(t, err)
		})
	}
}
