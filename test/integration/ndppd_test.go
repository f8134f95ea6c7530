// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

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
	d, path := asNDPPD(t, n, "proxy uplink {\n rule 2001:db8:1:0:f::/80 {\n auto\n }\n}\n", "-d", "-p", pid, "-v", "--verbose", "x", "--unknown", "word")
	d.WaitReady()
	a := newAsker(t, n)
	a.WantAnswer(conformance.Pod)
	a.WantAnswer(addr("2001:db8:1:0:f::6"))
	if b, err := os.ReadFile(pid); err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(d.Process.Pid) {
		t.Errorf("process ID file has %q, %v", b, err)
	}
	for _, want := range []string{"-d has no effect", "deviation: auto answers"} {
		if !strings.Contains(d.Log(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	t.Log("a wrong file is refused, and a right one taken")
	harness.Rewrite(t, path, "proxy uplink {\n rule 2001:db8:1:0:f::/80; { static }\n}\n")
	d.Reload()
	a.WantAnswer(conformance.Pod)
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
