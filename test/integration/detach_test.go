// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestDetach runs a daemon as the service of a package runs, as a user with three
// capabilities and a folder of a BPF file system, and kills it: its program answers until
// the command ends that, which it does not while the daemon runs.
func TestDetach(t *testing.T) {
	t.Parallel()
	const uid = 4711
	n := harness.NewNetwork(t)
	a := harness.NewAsker(t, n.Router, harness.RouterPort)
	public, err := os.MkdirTemp("", "ndproxyd-test")
	harness.Must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(public) })
	harness.Must(t, os.Chmod(public, 0o755))
	mount := filepath.Join(public, "bpf")
	harness.Must(t, os.Mkdir(mount, 0o755))
	harness.Must(t, unix.Mount("bpf", mount, "bpf", 0, "mode=755"))
	t.Cleanup(func() { harness.Must(t, unix.Unmount(mount, unix.MNT_DETACH)) })
	directory := filepath.Join(mount, "ndproxyd")
	harness.Must(t, os.Mkdir(directory, 0o700))
	harness.Must(t, os.Chown(directory, uid, uid))
	file := filepath.Join(public, "config.yaml")
	harness.Must(t, os.WriteFile(file, []byte(fmt.Sprintf(`version: 1
fast_path_directory: %s
uplinks: [{interface: %s, fast_path_hold: 1h}]
rules: [{prefix: "2001:db8:1:0:f::/80", method: static}]
metrics: {listen: ""}
`, directory, harness.Uplink)), 0o644))
	d := harness.StartAs(t, n.Node, uid, []uintptr{unix.CAP_NET_RAW, unix.CAP_NET_ADMIN, unix.CAP_BPF}, harness.Binary(t), "run", "--config", file)
	d.Wait("a pinned program", func(s status.Status) bool {
		return len(s.Uplinks) == 1 && s.Uplinks[0].FastPath.InKernel() && s.Uplinks[0].FastPath.Pinned != ""
	})
	a.WantAnswer(conformance.Pod)

	detach := func(code int, words string, args ...string) {
		t.Helper()
		c := harness.StartProgram(t, n.Node, harness.Binary(t), append([]string{"detach", "--config", file}, args...)...)
		if got := c.Exit(); got != code || !strings.Contains(c.Log(), words) || words == "" && c.Log() != "" {
			t.Errorf("detach %v ends with %d, and says %q", args, got, c.Log())
		}
	}
	check := func(left bool) {
		t.Helper()
		c := harness.StartProgram(t, n.Node, harness.Binary(t), "check", "--config", file)
		if c.Exit() != 0 || strings.Contains(c.Log(), "a program that one has left is attached to uplink, at tc ingress") != left {
			t.Errorf("left is %t, and check says %s", left, c.Log())
		}
	}
	check(false)
	const refusal = "detach uplink: a daemon that runs answers with the program: a process of the command line"
	detach(1, refusal)
	detach(1, refusal, harness.Uplink)
	detach(1, refusal, "--all-namespaces")
	detach(0, "", "eth7")
	a.WantAnswer(conformance.Pod)

	harness.Must(t, d.Process.Kill())
	d.Exit()
	a.WantAnswer(conformance.Pod)
	check(true)
	detach(0, "", "eth7")
	a.WantAnswer(conformance.Pod)
	detach(0, "removed from uplink: the program ndproxyd_tc at tc ingress\nremoved from uplink: what was pinned in "+directory, "--directory", mount+"/other")
	a.WantSilence(conformance.Pod)
	check(false)
	detach(0, "")
	detach(0, "", "--all-namespaces")
	if _, err := os.Stat(directory); !os.IsNotExist(err) {
		t.Errorf("the directory: %v", err)
	}
}
