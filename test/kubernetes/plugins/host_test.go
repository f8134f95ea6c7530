// SPDX-License-Identifier: Apache-2.0

//go:build full

package plugins

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// hostScript makes the mount namespace of a host: plugins keep their state below /run and
// /var/lib, of which each host needs its own, and read the devices in /sys.
const hostScript = `set -e
mount --make-rprivate /
for dir in /run /var/lib; do mount -t tmpfs tmpfs $dir; done
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
mkdir -p /run/cilium/cgroupv2 /var/lib/cni /var/lib/cilium
mount -t cgroup2 cgroup2 /run/cilium/cgroupv2
touch /run/made
exec sleep infinity
`

// host is a node with a mount namespace of its own, in which the programs of a plugin run.
type host struct {
	*cluster.Node
	t   *testing.T
	pid int
	dir string // logs and configuration
}

func newHost(t *testing.T, n *cluster.Node) *host {
	t.Helper()
	h := &host{Node: n, t: t, dir: t.TempDir()}
	p, err := n.Start("/usr/bin/unshare", []string{"-m", "sh", "-c", hostScript}, nil, os.Stderr, nil)
	harness.Must(t, err)
	h.pid = p.Pid
	t.Cleanup(func() {
		_ = p.Kill()
		_, _ = p.Wait()
	})
	harness.Eventually(t, "mount namespace", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d/root/run/made", p.Pid))
		return err == nil
	})
	return h
}

// enter returns the words that run a program in the host's namespaces.
func (h *host) enter(env []string, args ...string) []string {
	words := []string{fmt.Sprintf("--mount=/proc/%d/ns/mnt", h.pid), fmt.Sprintf("--net=/proc/%d/ns/net", h.pid), "env"}
	return append(append(words, env...), args...)
}

// run runs a program in the host's namespaces and returns what it prints.
func (h *host) run(env []string, args ...string) (string, error) {
	cmd := exec.Command("nsenter", h.enter(env, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run %s on %s: %w: %s%s", filepath.Base(args[0]), h.Name, err, out, stderr.String())
	}
	return string(out), nil
}

// mustRun runs a program that has to succeed.
func (h *host) mustRun(args ...string) string {
	h.t.Helper()
	out, err := h.run(nil, args...)
	harness.Must(h.t, err)
	return out
}

// write writes a file of the host and returns its path.
func (h *host) write(name, content string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	harness.Must(h.t, os.MkdirAll(filepath.Dir(path), 0o755))
	harness.Must(h.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// agent is a program of a plugin that goes on running.
type agent struct {
	h       *host
	name    string
	process *os.Process
	done    chan struct{}
	log     string
}

// start starts a program of a plugin.
func (h *host) start(name string, env []string, args ...string) *agent {
	h.t.Helper()
	log, err := os.CreateTemp(h.dir, name+"-*.log")
	harness.Must(h.t, err)
	defer log.Close()
	a := &agent{h: h, name: name, done: make(chan struct{}), log: log.Name()}
	a.process, err = h.Start("/usr/bin/nsenter", h.enter(env, args...), log, log, nil)
	harness.Must(h.t, err)
	go func() {
		_, _ = a.process.Wait()
		close(a.done)
	}()
	h.t.Cleanup(func() {
		a.kill()
		if h.t.Failed() {
			h.t.Logf("the end of the log of %s's %s:\n%s", h.Name, name, a.tail())
		}
	})
	return a
}

// kill ends the program as a power failure does.
func (a *agent) kill() {
	_ = a.process.Kill()
	<-a.done
}

// tail returns the end of the program's log.
func (a *agent) tail() string {
	b, _ := os.ReadFile(a.log)
	const most = 3000
	return string(b[max(0, len(b)-most):])
}

// awaits waits for what the program brings about, for as long as it runs.
func (a *agent) awaits(what string, f func() bool) {
	a.h.t.Helper()
	patiently(a.h.t, what, func() bool {
		select {
		case <-a.done:
			a.h.t.Fatalf("no %s: %s of %s has ended:\n%s", what, a.name, a.h.Name, a.tail())
		default:
		}
		return f()
	})
}

// cached returns a path in the cache of what "make test-full" builds and fetches.
func cached(t *testing.T, parts ...string) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	path := filepath.Join(append([]string{filepath.Dir(file), "..", "..", "..", ".cache"}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing; make test-full builds it", strings.Join(parts, "/"))
	}
	return path
}
