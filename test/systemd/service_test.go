// SPDX-License-Identifier: Apache-2.0

//go:build full

package systemd

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// config is what an operator writes.
const config = `version: 1
uplinks:
  - interface: uplink
rules:
  - prefix: 2001:db8:1:0:f::/80
    method: static
`

// capNetRaw is the only bit that may be set (capability 13).
const capNetRaw = "0000000000002000"

// releases are those of Debian with their systemd.
func releases() map[string]string { return map[string]string{"bookworm": "252", "trixie": "257"} }

// deb returns a built package.
func deb(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob("../../dist/" + pattern)
	harness.Must(t, err)
	if len(found) != 1 {
		t.Fatalf("%s: %d packages; make test-full builds them", pattern, len(found))
	}
	return found[0]
}

// TestService goes through the life of the service under each systemd.
func TestService(t *testing.T) {
	for release, version := range releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			a := harness.NewAsker(t, n.Router, harness.RouterPort)
			c := newContainer(t, release, n.Node)
			c.boot()
			if out := c.run("systemctl", "--version"); !strings.Contains(out, "systemd "+version) {
				t.Errorf("this is not systemd %s: %s", version, out)
			}
			c.copyIn(deb(t, "ndproxyd_*_amd64.deb"), "root/ndproxyd.deb")
			c.run("dpkg", "-i", "/root/ndproxyd.deb")
			c.fails("systemctl", "is-enabled", "ndproxyd")
			c.fails("systemctl", "is-active", "ndproxyd")
			for _, page := range []string{"ndproxyd.8", "ndproxyd.yaml.5"} {
				if !c.exists("usr/share/man/man" + page[len(page)-1:] + "/" + page + ".gz") {
					t.Errorf("no manual page %s", page)
				}
			}
			if out := c.run("systemd-analyze", "verify", "ndproxyd.service"); strings.Contains(out, "ndproxyd") {
				t.Errorf("the unit: %s", out)
			}

			c.write("etc/ndproxyd/config.yaml", config)
			c.write("etc/systemd/system/ndproxyd.service.d/test.conf", "[Service]\nWatchdogSec=15s\n")
			c.run("systemctl", "daemon-reload")
			c.run("systemctl", "enable", "--now", "ndproxyd")
			a.WantAnswer(conformance.Pod)
			c.wait("StatusText", "answering on uplink")
			c.checkSandbox(t)

			before := c.property("NRestarts")
			c.testReload(t, a)
			c.testKill(t, a)
			c.testHang(t, a)
			if before != "0" || c.property("NRestarts") != "2" {
				t.Errorf("%s restarts before, %s after a kill and a hang", before, c.property("NRestarts"))
			}
			c.testSecond(t, n)

			c.run("systemctl", "stop", "ndproxyd")
			a.WantSilence(conformance.Pod)
			if got := c.property("Result"); got != "success" {
				t.Errorf("after a stop the result is %s", got)
			}
			c.write("etc/ndproxyd/config.yaml", strings.Replace(config, "static", "statik", 1))
			c.fails("systemctl", "start", "ndproxyd")
			c.wait("ActiveState", "failed")
			c.write("etc/ndproxyd/config.yaml", config)
			c.run("systemctl", "reset-failed", "ndproxyd")
			c.testBoot(t, n, a)
		})
	}
}

// checkSandbox looks at the process as the kernel sees it.
func (c *container) checkSandbox(t *testing.T) {
	t.Helper()
	out := c.run("systemd-analyze", "security", "--no-pager", "ndproxyd")
	m := regexp.MustCompile(`Overall exposure level for ndproxyd\.service: ([\d.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure level in %s", out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 1.5 {
		t.Errorf("the exposure level is %s", m[1])
	}
	status := c.run("cat", "/proc/"+c.property("MainPID")+"/status")
	for name, want := range map[string]string{
		"CapEff": capNetRaw, "CapPrm": capNetRaw, "CapBnd": capNetRaw, "CapAmb": capNetRaw, "NoNewPrivs": "1", "Seccomp": "2",
	} {
		if !regexp.MustCompile(`(?m)^` + name + `:\s+` + want + `$`).MatchString(status) {
			t.Errorf("%s is not %s: %s", name, want, status)
		}
	}
	m = regexp.MustCompile(`(?m)^Uid:\s+(\d+)`).FindStringSubmatch(status)
	if uid, err := strconv.Atoi(m[1]); err != nil || uid < 61184 || uid > 65519 {
		t.Errorf("the user is %s", m[1])
	}
	if !c.exists("var/lib/private/ndproxyd") {
		t.Error("no state directory")
	}
	if out := c.run("ndproxyd", "status"); !strings.Contains(out, "uplink") {
		t.Errorf("status: %s", out)
	}
	if out := c.run("journalctl", "-u", "ndproxyd", "--no-pager"); strings.Contains(out, "err=") {
		t.Errorf("the journal has errors: %s", out)
	}
}

// testReload puts a right file in force and a wrong one not.
func (c *container) testReload(t *testing.T, a *harness.Asker) {
	t.Helper()
	c.write("etc/ndproxyd/config.yaml", strings.Replace(config, ":f::/80", ":e::/80", 1))
	c.run("systemctl", "reload", "ndproxyd")
	a.WantSilence(conformance.Pod)
	c.write("etc/ndproxyd/config.yaml", config)
	c.run("systemctl", "reload", "ndproxyd")
	a.WantAnswer(conformance.Pod)
	c.write("etc/ndproxyd/config.yaml", strings.Replace(config, "static", "statik", 1))
	c.fails("systemctl", "reload", "ndproxyd")
	c.waitJournal(`/etc/ndproxyd/config.yaml:6:13: rules[0].method: method "statik"`)
	a.WantAnswer(conformance.Pod)
	c.wait("ActiveState", "active")
	c.write("etc/ndproxyd/config.yaml", config)
}

// testKill kills the daemon.
func (c *container) testKill(t *testing.T, a *harness.Asker) {
	t.Helper()
	c.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "ndproxyd")
	c.wait("NRestarts", "1")
	c.wait("ActiveState", "active") // the watchdog does not look before
	a.WantAnswer(conformance.Pod)
}

// testHang stops the daemon from running, until the watchdog sees it.
func (c *container) testHang(t *testing.T, a *harness.Asker) {
	t.Helper()
	c.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "ndproxyd")
	a.WantSilence(conformance.Pod)
	c.wait("NRestarts", "2")
	c.wait("ActiveState", "active") // a process that hung answers what it has queued before it dies
	a.WantAnswer(conformance.Pod)
	c.waitJournal("watchdog")
}

// testSecond starts the daemon once more on the host's network, as a DaemonSet does.
func (c *container) testSecond(t *testing.T, n *harness.Network) {
	t.Helper()
	d := harness.StartProgram(t, n.Node, "../../dist/linux-amd64/ndproxyd", "run", "--interface", harness.Uplink, "--rule", "2001:db8:1:0:f::/80=static")
	if code := d.Exit(); code != 1 || !strings.Contains(d.Log(), "another ndproxyd answers on this host: a service of systemd") {
		t.Errorf("a second daemon ends with %d: %s", code, d.Log())
	}
}

// testBoot boots the host without its uplink.
func (c *container) testBoot(t *testing.T, n *harness.Network, a *harness.Asker) {
	t.Helper()
	c.powerOff()
	harness.Must(t, n.Node.Delete(harness.Uplink))
	c.boot()
	c.wait("ActiveState", "active")
	c.wait("StatusText", "waiting for uplink: the interface does not exist yet")
	harness.Must(t, n.Router.Veth(harness.RouterPort, conformance.RouterMAC, n.Node, harness.Uplink, conformance.NodeMAC))
	n.Address(t)
	*a = *harness.NewAsker(t, n.Router, harness.RouterPort)
	a.WantAnswer(conformance.Pod)
	c.wait("StatusText", "answering on uplink")
	if pid, err := strconv.Atoi(c.property("MainPID")); err != nil || pid == 0 {
		t.Errorf("no process: %v", err)
	}
}
