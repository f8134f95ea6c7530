// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// inKernel returns a configuration that answers in the kernel.
func inKernel(folder, settings string, rules ...string) string {
	text := fmt.Sprintf("version: 1\nfast_path_directory: %s\nuplinks: [{interface: %s, fast_path: tc%s}]\nrules:\n", folder, harness.Uplink, settings)
	for _, r := range rules {
		text += "  - " + r + "\n"
	}
	return text
}

const staticPods, routedPods, otherPods = `{prefix: "2001:db8:1:0:f::/80", method: static}`, `{prefix: "2001:db8:101::/64", method: route}`, `{prefix: "2001:db8:102::/64", method: static}`

// answersInKernel reports whether a status tells of a program that is pinned.
func answersInKernel(s status.Status) bool {
	return s.Ready && len(s.Uplinks) == 1 && s.Uplinks[0].FastPath != nil && s.Uplinks[0].FastPath.InKernel()
}

// startInKernel starts a daemon, and waits until a program answers.
func startInKernel(t *testing.T, n *harness.Network, file string) *harness.Daemon {
	t.Helper()
	d := harness.Start(t, n.Node, "--config", file)
	d.Wait("a program in the kernel", answersInKernel)
	return d
}

// kill ends a daemon that cannot do anything about it.
func kill(t *testing.T, d *harness.Daemon) {
	t.Helper()
	harness.Must(t, d.Process.Kill())
	d.Exit()
}

// routePods gives the node a device with a route to pods.
func routePods(t *testing.T, n *harness.Network, prefix string) {
	t.Helper()
	harness.Must(t, n.Node.Veth("pods", [6]byte{2, 0, 0, 0, 0, 7}, harness.Namespace(t), "pod", [6]byte{2, 0, 0, 0, 0, 8}))
	harness.Must(t, n.Node.Route(prefix, "", "pods"))
}

// TestOutlive kills, restarts and reloads a daemon, and no solicitation is lost, for a
// static prefix as for a route.
func TestOutlive(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	routePods(t, n, "2001:db8:101::/64")
	folder := harness.BPFFS(t)
	file := harness.WriteConfig(t, inKernel(folder, "", staticPods, routedPods))
	start := func() *harness.Daemon { return startInKernel(t, n, file) }
	d := start()
	static := harness.NewSteady(t, n.Router, harness.RouterPort, conformance.Pod)
	routed := harness.NewSteady(t, n.Router, harness.RouterPort, addr("2001:db8:101::1"))
	static.For(1)
	routed.For(1)
	for i := range 10 {
		switch {
		case i%5 == 4:
			harness.Rewrite(t, file, inKernel(folder, "", staticPods, routedPods, otherPods))
			d.Reload()
			harness.Rewrite(t, file, inKernel(folder, "", staticPods, routedPods))
			d.Reload()
			continue
		case i%2 == 0:
			harness.Must(t, d.Process.Kill())
		default:
			d.Signal(syscall.SIGTERM)
		}
		d.Exit()
		d = start()
	}
	static.Stop("a daemon that comes and goes")
	routed.Stop("a daemon that comes and goes")

	d.Signal(syscall.SIGTERM)
	d.Exit()
	a := harness.NewAsker(t, n.Router, harness.RouterPort)
	a.WantAnswer(conformance.Pod)
	var out bytes.Buffer
	if code := command(t, n, &out, 0, "detach", "--config", file); code != 0 {
		t.Errorf("detach ends with %d: %s", code, &out)
	}
	if a.Ask(conformance.Pod, harness.Quiet) != nil {
		t.Errorf("it is answered after detach, which says: %s", &out)
	}
	if left, err := filepath.Glob(filepath.Join(folder, "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestInherited answers for what the routes of the daemon before said until those of this
// one are read, and no longer; and ends what was left on an interface that is no uplink any
// more, or answers otherwise.
func TestInherited(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	routePods(t, n, "2001:db8:101::/64")
	folder := harness.BPFFS(t)
	file := harness.WriteConfig(t, inKernel(folder, "", staticPods, routedPods))
	start := func() *harness.Daemon { return startInKernel(t, n, file) }
	d := start()
	a := harness.NewAsker(t, n.Router, harness.RouterPort)
	pod := addr("2001:db8:101::1")
	a.WantAnswer(pod)
	kill(t, d)
	a.WantAnswer(pod)
	harness.Must(t, n.Node.Delete("pods"))
	a.WantAnswer(pod) // nobody has seen it
	d = start()
	d.Wait("complete evidence", func(s status.Status) bool { return s.Uplinks[0].FastPath.Inherited == 0 })
	a.WantSilence(pod)
	a.WantAnswer(conformance.Pod)
	kill(t, d)
	for name, uplinks := range map[string]string{"off": "{interface: " + harness.Uplink + ", fast_path: off}", "another": "{interface: pods}"} {
		harness.Rewrite(t, file, inKernel(folder, "", staticPods))
		d = start()
		kill(t, d)
		a.WantAnswer(conformance.Pod)
		harness.Rewrite(t, file, fmt.Sprintf("version: 1\nfast_path_directory: %s\nuplinks: [%s]\nrules: [%s]\n", folder, uplinks, otherPods))
		d = harness.Start(t, n.Node, "--config", file)
		a.WantSilence(conformance.Pod)
		harness.Eventually(t, "no pins with "+name, func() bool {
			left, err := filepath.Glob(filepath.Join(folder, "*", "*"))
			return err == nil && len(left) == 0
		})
		kill(t, d)
	}
}

// TestHoldEnds falls silent when no daemon has come for as long as the settings say.
func TestHoldEnds(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	file := harness.WriteConfig(t, inKernel(harness.BPFFS(t), ", fast_path_hold: 2s", staticPods))
	d := startInKernel(t, n, file)
	a := harness.NewAsker(t, n.Router, harness.RouterPort)
	a.WantAnswer(conformance.Pod)
	time.Sleep(3 * time.Second)
	a.WantAnswer(conformance.Pod) // the daemon lives
	kill(t, d)
	a.WantSilence(conformance.Pod)
}

// TestOutliveDiscovered kills and restarts a daemon whose rules follow from the uplink's
// prefixes: they hold before the next one takes over what is in the kernel.
func TestOutliveDiscovered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, rules string }{
		{"discovered", ""},
		{"a template", "rules: [{prefix: uplink, method: route}]\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			routePods(t, n, "2001:db8:1:0:f::/80")
			file := harness.WriteConfig(t, fmt.Sprintf("version: 1\nfast_path_directory: %s\nuplinks: [{interface: %s, fast_path: tc}]\n%s",
				harness.BPFFS(t), harness.Uplink, tt.rules))
			start := func() *harness.Daemon { return startInKernel(t, n, file) }
			d := start()
			steady := harness.NewSteady(t, n.Router, harness.RouterPort, conformance.Pod)
			steady.For(1)
			for range 2 {
				kill(t, d)
				d = start()
				d.Signal(syscall.SIGTERM)
				d.Exit()
				d = start()
			}
			steady.Stop("a daemon that comes and goes")
		})
	}
}
