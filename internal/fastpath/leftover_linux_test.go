// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// lowly has what the stage's daemons do be done with these capabilities alone, by a user: it
// returns what calls a function on such a thread, in the node's namespace.
func (s *stage) lowly(user int, capabilities ...uint) func(func()) {
	s.t.Helper()
	work, done, ended := make(chan func()), make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // user and capabilities are the thread's, which ends with this
		err := s.node.Enter(func() error { return becomeLowly(user, capabilities) })
		done <- err
		for {
			select {
			case f := <-work:
				f()
				done <- nil
			case <-ended:
				return
			}
		}
	}()
	check(s.t, <-done)
	s.t.Cleanup(func() { close(ended) })
	return func(f func()) {
		select {
		case work <- f:
			<-done
		case <-ended: // a daemon that was left tries again
		}
	}
}

func becomeLowly(user int, capabilities []uint) error {
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return err
	}
	id := uintptr(user)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, id, id, id); errno != 0 { // package syscall changes all threads
		return errno
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for _, c := range capabilities {
		data[c/32].Effective |= 1 << (c % 32)
		data[c/32].Permitted |= 1 << (c % 32)
	}
	return unix.Capset(&header, &data[0])
}

// answers returns how many answers a solicitation gets.
func (s *stage) answers(target string) (n int) {
	s.t.Helper()
	for _, ok := s.answered(target, patience); ok; ok = s.more() {
		n++
	}
	return n
}

// more reports whether there is another answer.
func (s *stage) more() bool {
	s.t.Helper()
	return s.advertised(silence, func(f []byte) bool { return len(f) >= 86 }) != nil
}

// TestLowly starts a daemon without the privileges of the one before, which was killed: it
// ends the program of that where it may, and says otherwise what it can see of it. Nobody
// gets two answers.
func TestLowly(t *testing.T) {
	t.Parallel()
	const nobody = 65534
	for name, c := range map[string]struct {
		mode     rules.FastPathMode
		old      bool // the kernel
		user     int
		readable bool   // the pins
		left     string // "" where nothing can be told for certain
		why      string // besides the privileges
		ended    bool   // the program
	}{
		"tcx, of the same user":      {mode: rules.FastPathTC, ended: true},
		"tcx, readable":              {mode: rules.FastPathTC, user: nobody, readable: true, left: "pinned in "},
		"tcx":                        {mode: rules.FastPathTC, user: nobody, why: "it may not look into "},
		"a filter, of the same user": {mode: rules.FastPathTC, old: true, left: "the filter ndproxyd at tc ingress"},
		"a filter, readable":         {mode: rules.FastPathTC, old: true, user: nobody, readable: true, left: "uplink, the filter ndproxyd at tc ingress"},
		"a filter":                   {mode: rules.FastPathTC, old: true, user: nobody, left: "the filter ndproxyd at tc ingress"},
		"generic XDP, of the same":   {mode: rules.FastPathXDPGeneric, ended: true},
		"generic XDP, readable":      {mode: rules.FastPathXDPGeneric, user: nobody, readable: true, left: "pinned in "},
		"generic XDP":                {mode: rules.FastPathXDPGeneric, user: nobody, why: " has the XDP hook"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config.FastPath, s.options.withoutTCX, s.config.FastPathHold = c.mode, c.old, time.Hour
			both, old, fresh := static("2001:db8:f1::/64"), static("2001:db8:f2::/64"), static("2001:db8:f3::/64")
			crash(t, s.listen(view(t, both, old)))
			check(t, os.Chmod(filepath.Dir(filepath.Dir(s.directory)), 0o755)) // which package testing makes
			if c.readable {
				for at := s.folderPath(); at != filepath.Dir(s.directory); at = filepath.Dir(at) {
					check(t, os.Chmod(at, 0o755))
				}
			}
			log := new(strings.Builder) // of that thread alone
			s.options.Log = slog.New(slog.NewTextHandler(log, nil))
			s.options.within = s.lowly(c.user, unix.CAP_NET_RAW)
			s.config.FastPath = rules.FastPathAuto
			var r *Responder
			var err error
			s.options.within(func() { r, err = s.listenHere(view(t, both, fresh)) })
			check(t, err)
			p := r.Path()
			if p.Way != ndp.WaySocket || !strings.HasSuffix(p.Left, c.left) && !strings.HasPrefix(p.Left, c.left) || (p.Left == "") != (c.left == "") ||
				!strings.Contains(p.Why, "CAP_BPF") || !strings.Contains(p.Why, c.why) || !p.Again.IsZero() {
				t.Errorf("the path is %+v", p)
			}
			var logged string
			s.options.within(func() { logged = log.String() })
			if strings.Contains(logged, "ndproxyd detach") != (c.left != "") {
				t.Errorf("the log is %q", logged)
			}
			if n := s.answers("2001:db8:f1::1"); n != 1 {
				t.Errorf("what both have gets %d answers", n)
			}
			s.want("of the earlier daemon", "2001:db8:f2::1", !c.ended)
			s.want("of this daemon", "2001:db8:f3::1", true)
			check(t, s.node.Do(func() error {
				_, err := Detach(DetachOptions{Directory: s.directory, Daemon: func() (string, func(string) bool) { return "a daemon", func(string) bool { return false } }})
				return err
			}))
			s.want("detached", "2001:db8:f2::1", false)
			s.want("detached", "2001:db8:f1::1", true)
			s.eventually("a path without what is detached", func() bool { return r.Path().Left == "" })
			check(t, r.Close())
		})
	}
}
