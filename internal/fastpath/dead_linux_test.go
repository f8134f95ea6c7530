// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// nobody is the Daemon of a Detach where none runs.
func nobody() (string, func(string) bool) { return "", nil }

// TestDead removes what is pinned of a device that was deleted with its network namespace,
// from another namespace, and nothing of a device that is there.
func TestDead(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(directory string) ([]string, error){
		"detach": func(directory string) ([]string, error) {
			return Detach(DetachOptions{Directory: directory, Daemon: nobody})
		},
		"a daemon starts": func(directory string) ([]string, error) { return Sweep(directory, usesOnly(0)) },
	} {
		for _, c := range []struct {
			name  string
			mode  rules.FastPathMode
			other bool // clsact, of which nothing can be known
		}{{name: "tcx", mode: rules.FastPathTC}, {name: "XDP", mode: rules.FastPathXDPGeneric}, {name: "clsact", mode: rules.FastPathTC, other: true}} {
			t.Run(name+" "+c.name, func(t *testing.T) {
				t.Parallel()
				own, err := lab.New()
				check(t, err)
				t.Cleanup(own.Close)
				s := newStage(t)
				s.options.withoutTCX, s.config.FastPath = c.other, c.mode
				r := s.listen(view(t, static("2001:db8:f1::/64")))
				if r.Path().Pinned == "" {
					t.Fatalf("the path is %+v", r.Path())
				}
				check(t, r.Hold())
				folder := s.folderPath()
				var removed []string
				sweep := func() {
					check(t, own.Do(func() (err error) {
						removed, err = remove(s.directory)
						return err
					}))
				}
				sweep()
				if _, err := os.Stat(folder); err != nil || len(removed) > 0 {
					t.Errorf("the device is there: %v, %q", err, removed)
				}
				s.want("still", "2001:db8:f1::1", true)
				l, err := s.node.Link.LinkByName(onDevice)
				check(t, err)
				check(t, s.node.Link.LinkDel(l))
				sweep()
				_, err = os.Stat(filepath.Dir(folder))
				switch {
				case c.other && (err != nil || len(removed) > 0):
					t.Errorf("nothing is known of the device: %v, %q", err, removed)
				case !c.other && (!os.IsNotExist(err) || len(removed) != 1 || !strings.HasPrefix(removed[0], onDevice+", which is gone: what was pinned in "+folder)):
					t.Errorf("the device is gone: %v, %q", err, removed)
				}
			})
		}
	}
}

// TestElsewhere ends a program that is pinned where detach was not told of, with its pins.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode rules.FastPathMode
		at   string
	}{{rules.FastPathTC, "tc ingress"}, {rules.FastPathXDPGeneric, "XDP"}} {
		t.Run(c.mode.String(), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config.FastPath = c.mode
			r := s.listen(view(t, static("2001:db8:f1::/64")))
			other := filepath.Join(filepath.Dir(s.directory), "another")
			check(t, s.node.Do(func() error {
				// The daemon runs. What it uses is told of, whichever interfaces are asked for.
				uses := func(device string) bool { return device == onDevice || device == "lo" }
				removed, err := Detach(DetachOptions{Directory: other, Daemon: func() (string, func(string) bool) { return "the daemon", uses }})
				if len(removed) > 0 || !errors.Is(err, ErrInUse) || err.Error() != "detach "+onDevice+": "+ErrInUse.Error()+": the daemon" {
					t.Errorf("beside the daemon, %q are removed, and the error is %v", removed, err)
				}
				return nil
			}))
			s.want("beside the daemon", "2001:db8:f1::1", true)
			check(t, r.Hold())
			check(t, s.node.Do(func() error {
				if at := Attached(onDevice); at != c.at {
					t.Errorf("it is attached at %q", at)
				}
				removed, err := Detach(DetachOptions{Directory: other, Interfaces: []string{"lo"}, Daemon: nobody})
				if len(removed) > 0 {
					t.Errorf("of lo, %q are removed", removed)
				}
				return err
			}))
			s.want("still", "2001:db8:f1::1", true)
			check(t, s.node.Do(func() error {
				removed, err := Detach(DetachOptions{Directory: other, Interfaces: []string{onDevice}, Daemon: nobody})
				if at := Attached(onDevice) + Attached("none9"); at != "" {
					t.Errorf("it is still attached at %q", at)
				}
				if len(removed) != 2 {
					t.Errorf("removed are %q", removed)
				}
				return err
			}))
			s.want("now", "2001:db8:f1::1", false)
			if _, err := os.Stat(r.folderPath()); !os.IsNotExist(err) {
				t.Errorf("the pins are there: %v", err)
			}
		})
	}
}

// TestElsewhereOthers leaves alone what others have in a bpffs that has the name of a network
// namespace by chance, and looks past another file system that is mounted there.
func TestElsewhereOthers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var cookie uint64
	check(t, s.node.Do(func() (err error) { cookie, err = namespaceCookie(); return err }))
	others := filepath.Join(filepath.Dir(s.directory), "others")
	check(t, os.MkdirAll(namespaceFolder(others, cookie), 0o700))
	mounted := filepath.Join(filepath.Dir(s.directory), "mounted")
	check(t, os.Mkdir(mounted, 0o700))
	check(t, unix.Mount("tmpfs", mounted, "tmpfs", 0, ""))
	t.Cleanup(func() { check(t, unix.Unmount(mounted, unix.MNT_DETACH)) })
	check(t, os.Mkdir(namespaceFolder(mounted, cookie), 0o700))
	for _, remove := range []func() ([]string, error){
		func() ([]string, error) { return Detach(DetachOptions{Directory: s.directory, Daemon: nobody}) },
		func() ([]string, error) { return Sweep(s.directory, usesNone) },
	} {
		check(t, s.node.Do(func() error {
			removed, err := remove()
			if len(removed) > 0 {
				t.Errorf("removed are %q", removed)
			}
			return err
		}))
		for _, directory := range []string{others, mounted} {
			if _, err := os.Stat(namespaceFolder(directory, cookie)); err != nil {
				t.Errorf("another's directory is gone: %v", err)
			}
		}
	}
}
