// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestForeign neither pins nor removes anything where somebody else can change it, and
// says so.
func TestForeign(t *testing.T) {
	t.Parallel()
	const nobody = 65534
	own := func(t *testing.T, path string) {
		t.Helper()
		check(t, os.MkdirAll(path, 0o700))
		check(t, os.Chown(path, nobody, nobody))
	}
	namespaceOf := func(s *stage) (path string) {
		check(s.t, s.node.Do(func() error {
			cookie, err := namespaceCookie()
			path = namespaceFolder(s.directory, cookie)
			return err
		}))
		return path
	}
	for name, c := range map[string]struct {
		prepare func(t *testing.T, s *stage)
		says    string
	}{
		"the directory is another's":  {func(t *testing.T, s *stage) { own(t, s.directory) }, "belongs to user 65534"},
		"the namespace is another's":  {func(t *testing.T, s *stage) { own(t, namespaceOf(s)) }, "belongs to user 65534"},
		"the interface is another's":  {func(t *testing.T, s *stage) { own(t, filepath.Join(namespaceOf(s), onDevice)) }, "belongs to user 65534"},
		"the new folder is another's": {func(t *testing.T, s *stage) { own(t, filepath.Join(namespaceOf(s), onDevice+newSuffix)) }, "belongs to user 65534"},
		"all may write to the directory": {func(t *testing.T, s *stage) {
			check(t, os.Mkdir(s.directory, 0o700))
			check(t, os.Chmod(s.directory, 0o777))
		}, "has mode 0777"},
		"a group may write to the directory": {func(t *testing.T, s *stage) {
			check(t, os.Mkdir(s.directory, 0o700))
			check(t, os.Chown(s.directory, 0, nobody))
			check(t, os.Chmod(s.directory, 0o770))
		}, "has mode 0770"},
		"all may write to the interface": {func(t *testing.T, s *stage) {
			path := filepath.Join(namespaceOf(s), onDevice)
			check(t, os.MkdirAll(path, 0o700))
			check(t, os.Chmod(path, 0o777|os.ModeSticky))
		}, "has mode 1777"},
		"all may write to the mount": {func(t *testing.T, s *stage) {
			check(t, os.Chmod(filepath.Dir(s.directory), 0o777))
		}, "has mode 0777"},
		"the namespace is a symbolic link": {func(t *testing.T, s *stage) {
			check(t, os.Mkdir(s.directory, 0o700))
			check(t, os.Symlink(filepath.Dir(s.directory), namespaceOf(s)))
		}, "is not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			precious := filepath.Join(filepath.Dir(s.directory), onDevice, "precious")
			check(t, os.MkdirAll(precious, 0o700))
			c.prepare(t, s)
			before, err := filepath.Glob(filepath.Join(s.directory, "*", "*"))
			check(t, err)
			r := s.listen(view(t, static("2001:db8:f1::/64")))
			if p := r.Path(); p.Way != ndp.WayTC || p.Pinned != "" || !strings.Contains(p.Unpinned, c.says) {
				t.Errorf("the path is %+v", p)
			}
			check(t, s.node.Do(func() error { _, err := Sweep(s.directory, usesOnly(r.Index())); return err }))
			check(t, s.node.Do(r.Close))
			s.config.FastPath = rules.FastPathAuto
			r = s.listen(view(t, static("2001:db8:f1::/64")))
			if p := r.Path(); p.Way != ndp.WaySocket || !strings.Contains(p.Why, c.says) {
				t.Errorf("by itself, the path is %+v", p)
			}
			check(t, s.node.Do(r.Close))
			if _, err := os.Lstat(precious); err != nil {
				t.Error("something was removed by a symbolic link")
			}
			if after, err := filepath.Glob(filepath.Join(s.directory, "*", "*")); err != nil || len(after) != len(before) {
				t.Errorf("there is %v, not %v any more, %v", after, before, err)
			}
		})
	}
}

// TestOurs pins below a directory that all may write to and that is sticky, as well as
// behind a symbolic link that leads to the mount.
func TestOurs(t *testing.T) {
	t.Parallel()
	mount := filepath.Join(t.TempDir(), "mount")
	check(t, os.Mkdir(mount, 0o755))
	check(t, unix.Mount("bpf", mount, "bpf", 0, ""))
	t.Cleanup(func() { check(t, unix.Unmount(mount, unix.MNT_DETACH)) })
	check(t, os.MkdirAll(filepath.Join(mount, "a", "b"), 0o700))
	check(t, os.Chmod(filepath.Join(mount, "a"), 0o777|os.ModeSticky))
	link := mount + "-link"
	check(t, os.Symlink(mount, link))
	for path, want := range map[string]bool{
		mount + "/a/b": true, mount + "/a/b/none/none": true, mount + "/a/none": true, mount + "/a": false, mount + "/none": true,
		link + "/a/b": true, link + "/a": false, mount: false,
	} {
		if err := ours(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}
