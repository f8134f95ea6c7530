// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// asNDPPD starts the program by the name of ndppd, with a configuration.
func asNDPPD(t *testing.T, n *harness.Network, config string, args ...string) (*harness.Daemon, string) {
	t.Helper()
	dir := t.TempDir()
	program, path := filepath.Join(dir, "ndppd"), filepath.Join(dir, "ndppd.conf")
	harness.Must(t, os.Symlink(harness.Binary(t), program))
	harness.Rewrite(t, path, config)
	d := harness.StartProgram(t, n.Node, program, append([]string{"-c", path}, args...)...)
	return d, path
}

// TestNDPPD takes ndppd's place: its command line and its file.
func TestNDPPD(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	pods := device(t, n.Node, "pods")
	route(t, n.Node, "2001:db8:1:0:f::/80", "pods", n.Node.Link.RouteAdd)
	pid := filepath.Join(t.TempDir(), "ndppd.pid")
	d, path := asNDPPD(t, n, "proxy uplink {\n rule 2001:db8:1:0:f::/80 {\n auto\n }\n}\n", "-p", pid, "-v", "--verbose", "x", "--unknown", "word")
	d.WaitReady()
	a := newAsker(t, n)
	a.WantAnswer(conformance.Pod)
	a.WantAnswer(addr("2001:db8:1:0:f::6"))
	harness.Eventually(t, "the process ID file", func() bool {
		b, err := os.ReadFile(pid)
		return err == nil && strings.TrimSpace(string(b)) == strconv.Itoa(d.Process.Pid)
	})
	if want := "deviation: auto answers"; !strings.Contains(d.Log(), want) {
		t.Errorf("the log lacks %q", want)
	}
	t.Log("a file that ndppd refuses is refused, one that it misreads is misread, and a right one taken")
	harness.Rewrite(t, path, "proxy uplink {\n rule 2001:db8:1:0:f::/80 { }\n}\n")
	d.Reload()
	a.WantAnswer(conformance.Pod)
	harness.Rewrite(t, path, "proxy uplink {\n rule 2001:db8:1:0:f::5/80; { static }\n};\n")
	d.Reload()
	a.WantAnswer(conformance.Pod)
	a.WantSilence(addr("2001:db8:1:0:f::6"))
	if want := "ndppd.conf:2:25: length: /80; is read as /128"; !strings.Contains(d.Log(), want) {
		t.Errorf("the log lacks %q", want)
	}
	harness.Rewrite(t, path, "proxy uplink {\n router no\n rule 2001:db8:1:0:f::/80 { iface pods }\n}\n")
	d.Reload()
	a.WantSilence(conformance.Pod)
	harness.Must(t, pods.Address("eth0", conformance.Pod.String()+"/80"))
	a.WantAnswer(conformance.Pod)
	d.Signal(syscall.SIGTERM)
	if code := d.Exit(); code != 0 {
		t.Errorf("exit code is %d", code)
	}
	if _, err := os.Stat(pid); !os.IsNotExist(err) {
		t.Error("the process ID file is left")
	}
}

// inBackground runs "ndppd -d", and returns its exit code and what it writes. It reads
// standard output and error to their end, as a panel does: a daemon that kept them open
// would never let it return.
func inBackground(t *testing.T, n *harness.Network, dir string, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "ndppd"), append([]string{"-d"}, args...)...)
	cmd.Dir = dir
	kept, err := os.Open(dir) // a file that the caller forgets to close
	harness.Must(t, err)
	defer kept.Close()
	cmd.ExtraFiles = []*os.File{kept}
	var b []byte
	harness.Must(t, n.Node.Do(func() (err error) {
		b, err = cmd.CombinedOutput()
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			err = nil
		}
		return err
	}))
	return cmd.ProcessState.ExitCode(), string(b)
}

// TestNDPPDInBackground starts the daemon with -d: it returns when the daemon answers.
func TestNDPPDInBackground(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	dir := t.TempDir()
	harness.Must(t, os.Symlink(harness.Binary(t), filepath.Join(dir, "ndppd")))
	config, pidFile := filepath.Join(dir, "ndppd.conf"), filepath.Join(dir, "ndppd.pid")
	harness.Rewrite(t, config, "proxy uplink {\n rule 2001:db8:1:0:f::/80 {\n  static;\n };\n};\n")
	harness.Rewrite(t, pidFile, "1\n") // of a daemon that was killed long ago
	a := newAsker(t, n)

	code, out := inBackground(t, n, dir, "-c", "ndppd.conf", "-p", "ndppd.pid", "-v")
	if code != 0 || out != "" {
		t.Fatalf("exit code %d: %s", code, out)
	}
	b, err := os.ReadFile(pidFile)
	harness.Must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid == 1 {
		t.Fatalf("the process ID file has %q", b)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	a.WantAnswer(conformance.Pod)
	proc := fmt.Sprintf("/proc/%d/", pid)
	if comm, err := os.ReadFile(proc + "comm"); err != nil || string(comm) != "ndppd\n" {
		t.Errorf("the process is called %q, %v", comm, err)
	}
	if cwd, err := os.Readlink(proc + "cwd"); err != nil || cwd != "/" {
		t.Errorf("the daemon is in %s, %v", cwd, err)
	}
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("the session is %d, %v", sid, err)
	}
	fds, err := os.ReadDir(proc + "fd")
	harness.Must(t, err)
	for _, fd := range fds {
		target, _ := os.Readlink(proc + "fd/" + fd.Name())
		if target == dir || len(fd.Name()) == 1 && fd.Name() < "3" && target != os.DevNull {
			t.Errorf("descriptor %s is %s", fd.Name(), target)
		}
	}

	t.Log("a second one fails, and leaves the first alone")
	code, out = inBackground(t, n, dir, "-c", config, "-p", pidFile)
	if code != 1 || !strings.Contains(out, "another ndproxyd answers on this host") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if again, err := os.ReadFile(pidFile); err != nil || string(again) != string(b) {
		t.Errorf("the process ID file has %q, %v", again, err)
	}

	t.Log("HUP reloads, TERM stops")
	harness.Rewrite(t, config, "proxy uplink {}\n")
	harness.Must(t, syscall.Kill(pid, syscall.SIGHUP))
	harness.Eventually(t, "no answers", func() bool { return a.Ask(conformance.Pod, 200*time.Millisecond) == nil })
	harness.Must(t, syscall.Kill(pid, syscall.SIGTERM))
	harness.Eventually(t, "the end", func() bool {
		_, err := os.Stat(pidFile)
		return os.IsNotExist(err) && harness.Gone(pid)
	})
}

// TestNDPPDInBackgroundFails has the caller hear why the daemon does not start.
func TestNDPPDInBackgroundFails(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	dir := t.TempDir()
	harness.Must(t, os.Symlink(harness.Binary(t), filepath.Join(dir, "ndppd")))
	const valid = "proxy uplink { rule 2001:db8:1:0:f::/80 { static } }\n"
	for name, c := range map[string]struct {
		config string
		pid    string
		code   int
		want   string
	}{
		"a file that ndppd refuses":   {config: "proxy uplink { rule 2001:db8:1:0:f::/80 { } }\n", pid: "ndppd.pid", code: 2, want: "ndppd.conf:1:16: methods: "},
		"a pid file without a folder": {config: valid, pid: "none/ndppd.pid", code: 1, want: "name another file with -p"},
	} {
		t.Run(name, func(t *testing.T) {
			harness.Rewrite(t, filepath.Join(dir, "ndppd.conf"), c.config)
			code, out := inBackground(t, n, dir, "-c", "ndppd.conf", "-p", c.pid)
			if code != c.code || !strings.Contains(out, c.want) {
				t.Errorf("exit code %d: %s", code, out)
			}
			if _, err := os.Stat(filepath.Join(dir, c.pid)); !os.IsNotExist(err) {
				t.Errorf("a process ID file is left: %v", err)
			}
		})
	}
}

// TestAutowire looks at the host routes that a rule asks for.
func TestAutowire(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	pods := device(t, n.Node, "pods")
	harness.Must(t, pods.Address("eth0", conformance.Pod.String()+"/80"))
	const config = "proxy uplink {\n autowire yes\n ttl 1000\n timeout 100\n retries 0\n rule 2001:db8:1:0:f::/80 { iface pods }\n}\n"
	wired := func() bool {
		list, err := n.Node.Link.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Protocol: 73}, netlink.RT_FILTER_PROTOCOL)
		harness.Must(t, err)
		return len(list) == 1 && list[0].Dst.String() == conformance.Pod.String()+"/128"
	}
	a := newAsker(t, n)
	start := func() *harness.Daemon {
		d, _ := asNDPPD(t, n, config)
		d.WaitReady()
		return d
	}
	d := start()
	a.WantAnswer(conformance.Pod)
	harness.Eventually(t, "host route", wired)

	t.Log("the route outlives a killed daemon, and not the next one's start")
	d.Signal(syscall.SIGKILL)
	d.Exit()
	if !wired() {
		t.Fatal("the route is gone: this test shows nothing")
	}
	d = start()
	if wired() {
		t.Error("the route of the killed daemon is left")
	}
	a.WantAnswer(conformance.Pod)
	harness.Eventually(t, "host route", wired)
	t.Log("it goes with the target")
	harness.Must(t, pods.Down("eth0"))
	harness.Eventually(t, "no host route", func() bool { return !wired() })
	harness.Must(t, pods.Up("eth0"))
	harness.Must(t, pods.Address("eth0", conformance.Pod.String()+"/80"))
	a.WantAnswer(conformance.Pod)
	harness.Eventually(t, "host route", wired)
	t.Log("and with the daemon")
	d.Signal(syscall.SIGTERM)
	d.Exit()
	if wired() {
		t.Error("the route is left")
	}
}
