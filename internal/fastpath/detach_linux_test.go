// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/internal/lab"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// namespace returns a namespace and its cookie.
func namespace(t *testing.T) (ns *lab.Namespace, cookie string) {
	t.Helper()
	ns, err := lab.New()
	must(t, err)
	t.Cleanup(ns.Close)
	must(t, ns.Do(func() error { cookie = cookieHere(t); return nil }))
	return ns, cookie
}

// cookieHere returns the cookie of the calling thread's namespace.
func cookieHere(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	must(t, err)
	return strconv.FormatUint(cookie, 10)
}

// settle starts a process in a namespace, by which others find it.
func settle(t *testing.T, ns *lab.Namespace) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	must(t, ns.Do(cmd.Start))
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// bpffs returns a mounted file system with folders.
func bpffs(t *testing.T, folders ...string) (directory string) {
	t.Helper()
	mount := t.TempDir()
	must(t, unix.Mount("bpf", mount, "bpf", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(mount, unix.MNT_DETACH)) })
	directory = filepath.Join(mount, "ndproxyd")
	for _, f := range folders {
		must(t, os.MkdirAll(filepath.Join(directory, f), 0o700))
	}
	return directory
}

// left returns the folders that are left.
func left(t *testing.T, directory string) (folders []string) {
	t.Helper()
	err := filepath.WalkDir(directory, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != directory {
			folders = append(folders, strings.TrimPrefix(path, directory+"/"))
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	return folders
}

// TestDetach frees interfaces and namespaces, beside daemons that run.
func TestDetach(t *testing.T) {
	t.Parallel()
	const gone = "18446744073709551615" // no namespace's yet
	for name, c := range map[string]struct {
		interfaces []string
		all        bool
		daemon     map[string]string // the interface that the daemon of a namespace answers on
		removed    int
		left       []string // "own" and "other" stand for the namespaces
		inUse      string
	}{
		"this namespace":               {removed: 3, left: []string{"0", "0/eth0", "other", "other/eth0", gone, gone + "/eth0", "name"}},
		"an interface":                 {interfaces: []string{"eth0.100"}, removed: 2, left: []string{"0", "0/eth0", "own", "own/eth1", "other", "other/eth0", gone, gone + "/eth0", "name"}},
		"an interface without any":     {interfaces: []string{"eth7"}, left: []string{"0", "0/eth0", "own", "own/eth0%2e100", "own/eth0%2e100%new", "own/eth1", "other", "other/eth0", gone, gone + "/eth0", "name"}},
		"beside a daemon":              {daemon: map[string]string{"own": "eth1"}, removed: 2, inUse: "detach eth1: ", left: []string{"0", "0/eth0", "own", "own/eth1", "other", "other/eth0", gone, gone + "/eth0", "name"}},
		"what a daemon uses":           {interfaces: []string{"eth1"}, daemon: map[string]string{"own": "eth1"}, inUse: "detach eth1: ", left: []string{"0", "0/eth0", "own", "own/eth0%2e100", "own/eth0%2e100%new", "own/eth1", "other", "other/eth0", gone, gone + "/eth0", "name"}},
		"all namespaces":               {all: true, removed: 6, left: []string{"name"}},
		"all beside a daemon in a pod": {all: true, daemon: map[string]string{"other": "eth0"}, removed: 5, inUse: "detach eth0: ", left: []string{"other", "other/eth0", "name"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own, cookie := namespace(t)
			other, otherCookie := namespace(t)
			directory := bpffs(t, "0/eth0", cookie+"/eth0%2e100", cookie+"/eth0%2e100%new", cookie+"/eth1", otherCookie+"/eth0", gone+"/eth0", "name")
			names := map[string]string{"own": cookie, "other": otherCookie}
			settle(t, other)
			var removed []string
			err := own.Do(func() (err error) {
				removed, err = fastpath.Detach(fastpath.DetachOptions{
					Directory: directory, Interfaces: c.interfaces, AllNamespaces: c.all,
					Daemon: func() (string, func(string) bool) {
						for which, device := range c.daemon {
							if names[which] == cookieHere(t) {
								return "the daemon", func(d string) bool { return d == device }
							}
						}
						return "", nil
					},
				})
				return err
			})
			if c.inUse == "" && err != nil || c.inUse != "" && (!errors.Is(err, fastpath.ErrInUse) || !strings.Contains(err.Error(), c.inUse) || !strings.Contains(err.Error(), "the daemon")) {
				t.Errorf("the error is %v", err)
			}
			if len(removed) != c.removed {
				t.Errorf("%d are removed, not %d: %q", len(removed), c.removed, removed)
			}
			var want []string
			for _, f := range c.left {
				first, rest, _ := strings.Cut(f, "/")
				if n, ok := names[first]; ok {
					first = n
				}
				want = append(want, strings.TrimSuffix(first+"/"+rest, "/"))
			}
			slices.Sort(want)
			got := left(t, directory)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%v are left, not %v", got, want)
			}
		})
	}
}

// TestDetachFollowsNoLinks has a daemon that was taken over leave symbolic links to what
// others have pinned, which root must not remove for it.
func TestDetachFollowsNoLinks(t *testing.T) {
	t.Parallel()
	ns, cookie := namespace(t)
	directory := bpffs(t, cookie+"/eth0", "../another/program")
	must(t, os.Symlink("../../another", filepath.Join(directory, cookie, "eth1")))
	must(t, os.Symlink("../../../another", filepath.Join(directory, cookie, "eth0", "link")))
	must(t, os.Symlink("../another", filepath.Join(directory, "1")))
	must(t, ns.Do(func() error {
		_, err := fastpath.Detach(fastpath.DetachOptions{Directory: directory, AllNamespaces: true, Daemon: func() (string, func(string) bool) { return "", nil }})
		if err == nil || !strings.Contains(err.Error(), "escapes") {
			t.Errorf("the error is %v", err)
		}
		return nil
	}))
	if got := left(t, filepath.Dir(directory)); !slices.Equal(got, []string{"another", "another/program"}) {
		t.Errorf("%v are left", got)
	}
}
