// SPDX-License-Identifier: Apache-2.0

//go:build full

package systemd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// container is a host with systemd as its first process.
type container struct {
	t      *testing.T
	root   string
	ns     *lab.Namespace
	log    *os.File
	nspawn *exec.Cmd
	leader int
	groups []string // the control groups of this container
	bpffs  string   // the container's BPF file system, "" for none
}

// newContainer prepares a root over that of a release of Debian, in which nothing
// changes, and does not boot it yet.
func newContainer(t *testing.T, release string, ns *lab.Namespace) *container {
	t.Helper()
	lower, err := filepath.Abs("../../.cache/debian/" + release)
	harness.Must(t, err)
	if _, err := os.Stat(lower); err != nil {
		t.Fatalf("%v: make test-full makes it", err)
	}
	dir := t.TempDir()
	c := &container{t: t, root: filepath.Join(dir, "root"), ns: ns, groups: newCgroups(t)}
	for _, d := range []string{"root", "upper", "work"} {
		harness.Must(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, dir, dir)
	harness.Must(t, unix.Mount("overlay", c.root, "overlay", 0, options))
	t.Cleanup(func() { harness.Must(t, unix.Unmount(c.root, unix.MNT_DETACH)) })
	c.log, err = os.Create(filepath.Join(dir, "console"))
	harness.Must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			journal, _ := c.try("journalctl", "-u", "ndproxyd", "--no-pager", "-n", "60")
			t.Logf("the journal:\n%s", journal)
			b, _ := os.ReadFile(c.log.Name())
			t.Logf("the console:\n%s", b)
		}
		_ = c.log.Close()
	})
	return c
}

// mountBPFFS gives the container a BPF file system, as systemd mounts one on a host.
func (c *container) mountBPFFS() {
	c.t.Helper()
	c.bpffs = filepath.Join(filepath.Dir(c.root), "bpffs")
	harness.Must(c.t, os.Mkdir(c.bpffs, 0o755))
	harness.Must(c.t, unix.Mount("bpf", c.bpffs, "bpf", 0, "mode=700"))
	c.t.Cleanup(func() { harness.Must(c.t, unix.Unmount(c.bpffs, unix.MNT_DETACH)) })
}

// boot starts systemd and waits until it takes commands.
func (c *container) boot() {
	c.t.Helper()
	args := []string{"systemd-nspawn", "-D", c.root, "--machine=ndproxyd-" + strings.ReplaceAll(strings.Trim(c.ns.Path(), "/"), "/", "-"), // no other has it
		"--register=no", "--keep-unit", "--network-namespace-path=" + c.ns.Path(), "--capability=CAP_NET_ADMIN,CAP_NET_RAW,CAP_SYS_ADMIN",
		"-b", "--console=pipe"}
	if c.bpffs != "" {
		args = append(args, "--capability=CAP_BPF", "--system-call-filter=bpf", "--bind="+c.bpffs+":/sys/fs/bpf")
	}
	args = inCgroups(c.groups, args...)
	c.nspawn = exec.Command(args[0], args[1:]...)
	c.nspawn.Stdout, c.nspawn.Stderr = c.log, c.log
	c.nspawn.Env = append(os.Environ(), "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network")
	harness.Must(c.t, c.nspawn.Start())
	nspawn := c.nspawn
	c.t.Cleanup(func() {
		for _, pid := range children(nspawn.Process.Pid) { // the container does not end with who runs it
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		_ = nspawn.Process.Kill()
		_ = nspawn.Wait()
		for _, pid := range inGroups(c.groups) { // what has outlived them
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
	c.eventually("systemd to run", func() bool {
		started := children(nspawn.Process.Pid)
		if len(started) == 0 {
			return false
		}
		c.leader = started[0]
		out, _ := c.try("systemctl", "is-system-running")
		return strings.Contains(out, "running") || strings.Contains(out, "degraded")
	})
}

// children returns the processes that a process has started.
func children(pid int) []int {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil { // it has ended
		return nil
	}
	var pids []int
	for _, f := range bytes.Fields(list) {
		if child, err := strconv.Atoi(string(f)); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// powerOff stops the host as its operator does.
func (c *container) powerOff() {
	c.t.Helper()
	_, _ = c.try("systemctl", "poweroff")
	done := make(chan error, 1)
	go func() { done <- c.nspawn.Wait() }()
	select {
	case <-done:
	case <-time.After(patience):
		c.t.Fatal("the host does not stop")
	}
}

// try runs a command in the container.
func (c *container) try(args ...string) (string, error) {
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(c.leader), "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs a command that must succeed.
func (c *container) run(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		journal, _ := c.try("journalctl", "-u", "ndproxyd", "--no-pager", "-n", "40")
		c.t.Fatalf("%s: %v: %s\n%s", strings.Join(args, " "), err, out, journal)
	}
	return out
}

// fails runs a command that must not succeed.
func (c *container) fails(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err == nil {
		c.t.Errorf("%s succeeds: %s", strings.Join(args, " "), out)
	}
	return out
}

// property returns what systemd knows of the service.
func (c *container) property(name string) string {
	c.t.Helper()
	return strings.TrimSpace(c.run("systemctl", "show", "-P", name, "ndproxyd"))
}

// wait waits for a property that begins with a value.
func (c *container) wait(name, value string) {
	c.t.Helper()
	c.eventually(name+" to be "+value, func() bool { return strings.HasPrefix(c.property(name), value) })
}

// waitJournal waits for words in the service's journal, which journald writes when it has
// the time.
func (c *container) waitJournal(words string) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("%q in the journal", words), func() bool {
		return strings.Contains(c.run("journalctl", "-u", "ndproxyd", "--no-pager"), words)
	})
}

// patience bounds every wait for systemd: several containers share the processors.
const patience = 2 * time.Minute

// eventually waits until something holds. It looks seldom, because each look starts
// programs.
func (c *container) eventually(what string, f func() bool) {
	c.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if f() {
			return
		}
	}
	c.t.Fatalf("no %s after %s", what, patience)
}

// copyIn puts a file into the container.
func (c *container) copyIn(from, to string) {
	c.t.Helper()
	b, err := os.ReadFile(from)
	harness.Must(c.t, err)
	c.write(to, string(b))
}

func (c *container) write(to, content string) {
	c.t.Helper()
	path := filepath.Join(c.root, to)
	harness.Must(c.t, os.MkdirAll(filepath.Dir(path), 0o755))
	harness.Must(c.t, os.WriteFile(path, []byte(content), 0o644))
}

func (c *container) exists(path string) bool {
	_, err := os.Lstat(filepath.Join(c.root, path))
	return !errors.Is(err, os.ErrNotExist)
}
