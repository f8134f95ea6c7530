// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/docs"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// host is a namespace with a root of its own. Nothing that is written or mounted there is
// seen outside of it, and all its processes end with the test.
type host struct {
	*lab.Namespace
	t *testing.T
	// first is the number of the host's first process, which the others are found by.
	first int
}

// layers makes the root, below a directory that only the host's processes see mounted.
const layers = `set -e
dir=$1 packages=$2 ndproxyd=$3 wireguard=$4
mount -t tmpfs tmpfs "$dir"
mkdir "$dir/upper" "$dir/work" "$dir/root"
cp -a "$packages/usr" "$dir/upper"
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
cd "$dir/root"
mount --rbind /dev dev
mount --rbind /proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
touch usr/local/bin/ndproxyd usr/local/bin/wireguard-go
mount --bind "$ndproxyd" usr/local/bin/ndproxyd
mount --bind "$wireguard" usr/local/bin/wireguard-go
rm -rf etc/ndproxyd
mkdir -p etc/ndproxyd
exec chroot . sh -c 'echo ready; exec sleep infinity'`

// newHost makes a host of a namespace.
func newHost(t *testing.T, ns *lab.Namespace) *host {
	t.Helper()
	cache := filepath.Join(docs.Root(), ".cache")
	packages, err := filepath.Abs(filepath.Join(cache, "recipes"))
	harness.Must(t, err)
	wireguard, err := filepath.Abs(filepath.Join(cache, "tools", "wireguard"))
	harness.Must(t, err)
	for _, path := range []string{packages, wireguard} {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%v: make test makes it", err)
		}
	}
	r, w, err := os.Pipe()
	harness.Must(t, err)
	defer r.Close()
	// The first process of a namespace of processes takes all others with it, and dies
	// with unshare, which dies with the test.
	p, err := ns.Start("/usr/bin/unshare", []string{
		"--mount", "--propagation=private", "--pid", "--fork", "--kill-child=KILL",
		"bash", "-c", layers, "host", t.TempDir(), packages, harness.Binary(t), wireguard,
	}, w, os.Stderr, nil)
	_ = w.Close()
	harness.Must(t, err)
	t.Cleanup(func() {
		_ = p.Kill()
		_, _ = p.Wait()
	})
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatalf("the host does not start: %q, %v", line, err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.Pid, p.Pid))
	harness.Must(t, err)
	first, err := strconv.Atoi(strings.TrimSpace(string(children)))
	harness.Must(t, err)
	return &host{Namespace: ns, t: t, first: first}
}

// enter is the command line that runs another one on the host, but for its network, which
// lab sets.
func (h *host) enter(args ...string) []string {
	return append([]string{"-t", strconv.Itoa(h.first), "--mount", "--root", "--wd"}, args...)
}

// try runs a shell's commands on the host, and returns what they print.
func (h *host) try(commands string) (string, error) {
	cmd := exec.Command("nsenter", h.enter("--net", "--pid", "bash", "-ec", commands)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs commands that have to succeed.
func (h *host) run(commands string) string {
	h.t.Helper()
	out, err := h.try(commands)
	if err != nil {
		h.t.Fatalf("%s: %v: %s", commands, err, out)
	}
	return out
}

// start starts a program that goes on until the test ends or stop is called, which asks it
// to end.
func (h *host) start(args ...string) (stop func()) {
	h.t.Helper()
	log := filepath.Join(h.t.TempDir(), "log")
	out, err := os.Create(log)
	harness.Must(h.t, err)
	defer out.Close()
	p, err := h.Start("/usr/bin/nsenter", h.enter(args...), out, out, nil)
	harness.Must(h.t, err)
	h.t.Cleanup(func() {
		_ = p.Kill()
		_, _ = p.Wait()
		if h.t.Failed() {
			b, _ := os.ReadFile(log)
			h.t.Logf("%s:\n%s", args[0], b)
		}
	})
	return func() { _ = p.Signal(syscall.SIGTERM) }
}

// daemon starts ndproxyd with the configuration that the host has.
func (h *host) daemon() *harness.Daemon {
	h.t.Helper()
	return harness.StartProgram(h.t, h.Namespace, "/usr/bin/nsenter", h.enter("/usr/local/bin/ndproxyd", "run")...)
}

// write writes a file of the host.
func (h *host) write(path, content string) {
	h.t.Helper()
	path = filepath.Join(fmt.Sprintf("/proc/%d/root", h.first), path)
	harness.Must(h.t, os.MkdirAll(filepath.Dir(path), 0o755))
	harness.Must(h.t, os.WriteFile(path, []byte(content), 0o600))
}
