// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// programsOn returns how many programs of ours are attached to a device of the node.
func (s *stage) programsOn(device string) (n int) {
	s.t.Helper()
	check(s.t, s.node.Do(func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		strays, _, err := straysOn(ifi.Index, new(pinnedPrograms), func(*attached) bool { return false })
		n = len(strays)
		return err
	}))
	return n
}

// lostPins are ways to lose the pins of a program that stays attached.
var lostPins = map[string]func(t *testing.T, s *stage, pinned string){
	"another directory": func(_ *testing.T, s *stage, _ string) { s.options.Directory += "2" },
	"no directory":      func(t *testing.T, s *stage, _ string) { s.options.Directory = t.TempDir() },
	"all may write to the folder": func(t *testing.T, _ *stage, pinned string) {
		check(t, os.Chmod(pinned, 0o777))
	},
	"the folder is another's": func(t *testing.T, _ *stage, pinned string) {
		check(t, os.Chown(pinned, 65534, 65534))
	},
	"a bpffs that is read-only": func(t *testing.T, s *stage, _ string) {
		check(t, unix.Mount("", filepath.Dir(s.directory), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	},
	"another bpffs is mounted over it": func(t *testing.T, s *stage, _ string) {
		check(t, unix.Mount("bpf", filepath.Dir(s.directory), "bpf", 0, ""))
		t.Cleanup(func() { check(t, unix.Unmount(filepath.Dir(s.directory), unix.MNT_DETACH)) })
	},
}

// detach calls Detach in the node's namespace.
func (s *stage) detach(interfaces ...string) (removed []string, err error) {
	check(s.t, s.node.Do(func() error {
		removed, err = Detach(DetachOptions{Directory: s.options.Directory, Interfaces: interfaces, Daemon: nobody})
		return nil
	}))
	return removed, err
}

// TestDetachStray ends what is attached whatever has become of its pins, and says what stays
// of those.
func TestDetachStray(t *testing.T) {
	t.Parallel()
	for lost, lose := range lostPins {
		for _, mode := range []rules.FastPathMode{rules.FastPathTC, rules.FastPathXDPGeneric} {
			t.Run(lost+", "+mode.String(), func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				s.config.FastPath = mode
				r := s.listen(view(t, static("2001:db8:f2::/64")))
				s.want("first", "2001:db8:f2::1", true)
				pinned := r.Path().Pinned
				crash(t, r)
				lose(t, s, pinned)
				removed, err := s.detach(onDevice)
				if n := s.programsOn(onDevice); n != 0 || len(removed) == 0 {
					t.Errorf("%d programs are attached, and %q are removed", n, removed)
				}
				s.want("afterwards", "2001:db8:f2::1", false)
				switch lost {
				case "a bpffs that is read-only":
					if err == nil || !strings.Contains(err.Error(), "answers no more, but stays: ") {
						t.Errorf("the error is %v", err)
					}
				case "no directory":
					if err == nil || !strings.Contains(err.Error(), "is not in a bpffs") {
						t.Errorf("the error is %v", err)
					}
				default:
					if err != nil {
						t.Errorf("the error is %v", err)
					}
				}
			})
		}
	}
}

// TestPinnedPrograms walks through the pins once, however many programs are asked for.
func TestPinnedPrograms(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.listen(view(t, static("2001:db8:f2::/64")))
	id, path := r.fast.hook.Program(), s.folderPath()
	var pins pinnedPrograms
	for range 2 {
		name, folder := pins.find(id)
		if name != programPrefix+"tc" || folder != path {
			t.Errorf("the program is %q in %q", name, folder)
		}
		if name, folder := pins.find(1 << 31); name != "" || folder != "" {
			t.Errorf("what is not pinned is %q in %q", name, folder)
		}
		check(t, os.RemoveAll(path)) // it is known from the first walk
	}
}
