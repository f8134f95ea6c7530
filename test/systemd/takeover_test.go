// SPDX-License-Identifier: Apache-2.0

//go:build full

package systemd

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

const (
	// ndppdConfig has what ndppd ignores: semicolons, and an option one level too deep.
	ndppdConfig = "proxy uplink {\n  rule 2001:db8:1:0:f::/80 {\n    static;\n    router no\n  };\n};\n"
	// otherConfig answers for other addresses.
	otherConfig = "proxy uplink {\n  rule 2001:db8:1:0:e::/80 {\n    static\n  }\n}\n"
	// refusedConfig is what ndppd does not start with.
	refusedConfig = "proxy uplink {\n  rule 2001:db8:1:0:f::/80 {\n  }\n}\n"
)

// newHost returns a host with the packages in /root, and somebody who asks it.
func newHost(t *testing.T, release string) (*container, *lab.Namespace, *harness.Asker) {
	t.Helper()
	n := harness.NewNetwork(t)
	a := harness.NewAsker(t, n.Router, harness.RouterPort)
	c := newContainer(t, release, n.Node)
	ndppd, err := filepath.Glob("../../.cache/ndppd_*.deb")
	harness.Must(t, err)
	if len(ndppd) != 1 {
		t.Fatalf("%d packages of ndppd", len(ndppd))
	}
	c.copyIn(ndppd[0], "root/ndppd.deb")
	c.copyIn(deb(t, "ndproxyd_*_amd64.deb"), "root/ndproxyd.deb")
	c.copyIn(deb(t, "ndproxyd-ndppd_*_all.deb"), "root/ndproxyd-ndppd.deb")
	return c, n.Node, a
}

// TestTakeOver puts ndproxyd in the place of Debian's ndppd, works with it under ndppd's
// name as panels do, and puts ndppd back.
func TestTakeOver(t *testing.T) {
	for release := range releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			c, _, a := newHost(t, release)
			c.boot()
			c.write("etc/ndppd.conf", ndppdConfig)
			c.run("dpkg", "-i", "/root/ndppd.deb")
			c.run("systemctl", "enable", "--now", "ndppd")
			a.WantAnswer(conformance.Pod)

			t.Log("both may be installed; who starts ndproxyd stops ndppd")
			c.run("dpkg", "-i", "/root/ndproxyd.deb")
			c.run("systemctl", "is-active", "ndppd")
			c.run("systemctl", "start", "ndproxyd")
			c.fails("systemctl", "is-active", "ndppd")
			c.run("systemctl", "stop", "ndproxyd")
			// ndppd's script fails while the one before it is on its way out.
			c.eventually("ndppd again", func() bool {
				_, err := c.try("systemctl", "start", "ndppd")
				return err == nil
			})

			t.Log("ndppd stays where the service could not run")
			c.write("etc/ndppd.conf", refusedConfig)
			if out := c.fails("dpkg", "-i", "/root/ndproxyd-ndppd.deb"); !strings.Contains(out, "/etc/ndppd.conf:2:3: methods: ") {
				t.Errorf("the message is %s", out)
			}
			c.fails("test", "-e", "/usr/lib/systemd/system/ndppd.service")
			c.run("test", "-x", "/usr/sbin/ndppd")
			c.write("etc/ndppd.conf", ndppdConfig)

			t.Log("and goes where it can; apt removes it before it looks at the new package's scripts")
			c.run("apt-get", "install", "-y", "/root/ndproxyd-ndppd.deb")
			if out := c.run("dpkg-query", "-W", "-f", "${Status}", "ndppd"); strings.Contains(out, "installed") && !strings.Contains(out, "deinstall") {
				t.Errorf("ndppd is %s", out)
			}
			a.WantAnswer(conformance.Pod)
			c.run("systemctl", "is-active", "ndproxyd")
			c.run("systemctl", "is-enabled", "ndproxyd")
			if out := c.run("ndproxyd", "status"); !strings.Contains(out, "/etc/ndppd.conf") {
				t.Errorf("the configuration is another one: %s", out)
			}
			c.checkTakenOver(t)
			if !c.exists("etc/init.d/ndppd") {
				t.Error("ndppd's init script is gone, so this test does not show what comes of it")
			}
			c.testPanel(t, a)
			c.restarts(t, a, "/etc/init.d/ndppd", "restart")

			t.Log("a purge of what ndppd has left changes nothing")
			c.run("dpkg", "-P", "ndppd")
			c.run("systemctl", "is-enabled", "ndproxyd")
			c.restarts(t, a, "systemctl", "restart", "ndppd")

			t.Log("nor does an upgrade")
			c.copyIn(newer(t, deb(t, "ndproxyd-ndppd_*_all.deb")), "root/newer.deb")
			c.restarts(t, a, "dpkg", "-i", "/root/newer.deb")
			c.run("systemctl", "is-enabled", "ndproxyd")
			c.restarts(t, a, "systemctl", "restart", "ndppd")

			t.Log("nothing is left after a removal, and ndppd works again")
			c.run("dpkg", "-r", "ndproxyd-ndppd")
			if out := c.run("systemctl", "show", "-P", "ExecStart", "ndproxyd"); strings.Contains(out, "ndppd.conf") {
				t.Errorf("ndproxyd still reads ndppd's file: %s", out)
			}
			c.run("dpkg", "-P", "ndproxyd-ndppd")
			for _, path := range []string{"usr/sbin/ndppd", "usr/lib/systemd/system/ndppd.service", "usr/lib/systemd/system/ndproxyd.service.d", "etc/systemd/system/multi-user.target.wants/ndppd.service", "var/lib/ndproxyd-ndppd"} {
				if c.exists(path) {
					t.Errorf("%s is left", path)
				}
			}
			if !c.exists("etc/ndppd.conf") {
				t.Error("ndppd's configuration is gone")
			}
			c.run("dpkg", "-P", "ndproxyd")
			c.run("dpkg", "-i", "/root/ndppd.deb")
			c.eventually("ndppd once more", func() bool {
				_, err := c.try("systemctl", "restart", "ndppd")
				return err == nil
			})
			a.WantAnswer(conformance.Pod)
			if out := c.run("systemctl", "show", "-P", "SourcePath", "ndppd"); !strings.Contains(out, "/etc/init.d/ndppd") {
				t.Errorf("the unit is made of %q", out)
			}
		})
	}
}

// checkTakenOver wants the name to be that of the sandboxed service.
func (c *container) checkTakenOver(t *testing.T) {
	t.Helper()
	if out := strings.TrimSpace(c.run("systemctl", "show", "-P", "Id", "ndppd")); out != "ndproxyd.service" {
		t.Errorf("ndppd.service is %s", out)
	}
	if c.exists("etc/systemd/system/multi-user.target.wants/ndppd.service") {
		t.Error("the link of ndppd's unit is left")
	}
	status := c.run("cat", "/proc/"+c.property("MainPID")+"/status")
	if !strings.Contains(status, "CapEff:\t"+capNetRaw) {
		t.Errorf("the service is not sandboxed: %s", status)
	}
}

// restarts runs a command that must leave a new process that answers.
func (c *container) restarts(t *testing.T, a *harness.Asker, args ...string) {
	t.Helper()
	before := c.property("MainPID")
	c.run(args...)
	if pid := c.property("MainPID"); pid == before || pid == "0" {
		t.Errorf("%s: the process is %s, and was %s", strings.Join(args, " "), pid, before)
	}
	c.run("systemctl", "is-active", "ndppd")
	c.run("systemctl", "is-active", "ndproxyd")
	a.WantAnswer(conformance.Pod)
}

// testPanel does with ndppd what panels and how-tos do.
func (c *container) testPanel(t *testing.T, a *harness.Asker) {
	t.Helper()
	c.restarts(t, a, "systemctl", "restart", "ndppd")
	c.restarts(t, a, "systemctl", "restart", "ndppd.service")
	c.restarts(t, a, "service", "ndppd", "restart")
	for _, args := range [][]string{{"systemctl", "status", "ndppd"}, {"service", "ndppd", "status"}} {
		if out := c.run(args...); !strings.Contains(out, "active (running)") {
			t.Errorf("%s: %s", args, out)
		}
	}

	t.Log("a new file is in force after a restart or a reload")
	for _, args := range [][]string{{"systemctl", "reload", "ndppd"}, {"service", "ndppd", "reload"}, {"systemctl", "reload-or-restart", "ndppd"}, {"systemctl", "restart", "ndppd"}} {
		c.write("etc/ndppd.conf", otherConfig)
		c.run(args...)
		a.WantSilence(conformance.Pod)
		c.write("etc/ndppd.conf", ndppdConfig)
		c.run(args...)
		a.WantAnswer(conformance.Pod)
	}
	t.Log("so is one that root alone may read")
	for _, verb := range []string{"restart", "reload"} {
		c.write("root/new.conf", ndppdConfig)
		c.run("chmod", "600", "/root/new.conf")
		c.run("mv", "/root/new.conf", "/etc/ndppd.conf")
		c.run("systemctl", verb, "ndppd")
		a.WantAnswer(conformance.Pod)
	}
	c.write("etc/ndppd.conf", refusedConfig)
	c.fails("systemctl", "reload", "ndppd")
	a.WantAnswer(conformance.Pod)
	c.write("etc/ndppd.conf", ndppdConfig)

	t.Log("stop, start, disable, enable")
	c.run("systemctl", "stop", "ndppd")
	c.fails("systemctl", "is-active", "ndppd")
	c.fails("systemctl", "is-active", "ndproxyd")
	a.WantSilence(conformance.Pod)
	c.run("systemctl", "disable", "ndppd")
	c.fails("systemctl", "is-enabled", "ndproxyd")
	c.run("systemctl", "enable", "ndppd")
	c.run("systemctl", "is-enabled", "ndppd")
	c.run("systemctl", "is-enabled", "ndproxyd")
	c.restarts(t, a, "systemctl", "start", "ndppd")
	c.run("systemctl", "disable", "--now", "ndppd")
	c.restarts(t, a, "systemctl", "enable", "--now", "ndppd")
}

// TestTakeOverFirst installs the packages on a host without ndppd, before its
// configuration is written, in one go.
func TestTakeOverFirst(t *testing.T) {
	for release := range releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			c, _, a := newHost(t, release)
			c.boot()
			if out := c.run("dpkg", "-i", "/root/ndproxyd.deb", "/root/ndproxyd-ndppd.deb"); !strings.Contains(out, "write /etc/ndppd.conf") {
				t.Errorf("the message is %s", out)
			}
			c.fails("systemctl", "is-active", "ndppd")
			c.fails("systemctl", "is-enabled", "ndproxyd")
			c.write("etc/ndppd.conf", ndppdConfig)
			c.run("systemctl", "enable", "ndppd")
			c.restarts(t, a, "systemctl", "restart", "ndppd")
			c.checkTakenOver(t)

			t.Log("the host comes up with it")
			c.powerOff()
			c.boot()
			c.wait("ActiveState", "active")
			a.WantAnswer(conformance.Pod)
			c.checkTakenOver(t)
			c.run("dpkg", "-P", "ndproxyd-ndppd", "ndproxyd")
			c.fails("systemctl", "is-active", "ndppd")
		})
	}
}

// TestTakeOverLeftovers installs the packages where an ndppd of earlier has left its
// traces.
func TestTakeOverLeftovers(t *testing.T) {
	for release := range releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			c, _, a := newHost(t, release)
			c.boot()
			c.write("etc/ndppd.conf", ndppdConfig)

			t.Log("an init script of which systemd makes a unit, which is active and does nothing")
			c.run("dpkg", "-i", "/root/ndppd.deb")
			c.run("dpkg", "-r", "ndppd")
			c.run("systemctl", "daemon-reload")
			c.run("systemctl", "start", "ndppd")
			c.run("dpkg", "-i", "/root/ndproxyd.deb", "/root/ndproxyd-ndppd.deb")
			a.WantAnswer(conformance.Pod)
			c.checkTakenOver(t)
			c.run("systemctl", "is-enabled", "ndproxyd")
			c.restarts(t, a, "systemctl", "restart", "ndppd")
			c.restarts(t, a, "/etc/init.d/ndppd", "restart")
			c.run("dpkg", "-P", "ndproxyd-ndppd", "ndproxyd", "ndppd")

			t.Log("a unit that was enabled and then masked")
			for _, link := range []string{"etc/systemd/system/ndppd.service", "etc/systemd/system/multi-user.target.wants/ndppd.service"} {
				target := "/dev/null"
				if strings.Contains(link, "wants") {
					target = "/lib/systemd/system/ndppd.service"
				}
				c.run("ln", "-s", target, "/"+link)
			}
			c.run("systemctl", "daemon-reload")
			c.run("dpkg", "-i", "/root/ndproxyd.deb", "/root/ndproxyd-ndppd.deb")
			a.WantAnswer(conformance.Pod)
			c.checkTakenOver(t)
			c.run("systemctl", "is-enabled", "ndproxyd")
			c.restarts(t, a, "systemctl", "restart", "ndppd")
			c.run("dpkg", "-P", "ndproxyd-ndppd", "ndproxyd")

			t.Log("a unit of the operator's own, which starts ndppd in the background")
			c.write("etc/systemd/system/ndppd.service", "[Unit]\nAfter=network.target\n[Service]\nType=forking\nPIDFile=/run/ndppd.pid\nExecStart=/usr/sbin/ndppd -d -p /run/ndppd.pid\n[Install]\nWantedBy=multi-user.target\n")
			c.run("systemctl", "daemon-reload")
			c.run("systemctl", "enable", "ndppd")
			if out := c.run("dpkg", "-i", "/root/ndproxyd.deb", "/root/ndproxyd-ndppd.deb"); !strings.Contains(out, "your own unit") {
				t.Errorf("the message is %s", out)
			}
			for range 2 {
				a.WantAnswer(conformance.Pod)
				c.run("systemctl", "is-active", "ndppd")
				if pid := strings.TrimSpace(c.run("systemctl", "show", "-P", "MainPID", "ndppd")); pid != strings.TrimSpace(c.run("cat", "/run/ndppd.pid")) {
					t.Errorf("the process is %s", pid)
				}
				c.run("systemctl", "restart", "ndppd")
			}
			c.run("systemctl", "is-enabled", "ndppd")
			c.run("systemctl", "stop", "ndppd")
			a.WantSilence(conformance.Pod)
		})
	}
}

// TestTakeOverRPM runs the scripts of the rpm in the order of rpm, as there is no root of
// Fedora here: the files come of the deb, which has the same.
func TestTakeOverRPM(t *testing.T) {
	t.Parallel()
	c, _, a := newHost(t, "bookworm")
	c.boot()
	for _, script := range []string{"pre", "posttrans", "postun"} {
		c.copyIn("../../deploy/package/rpm-ndppd-"+script, "root/"+script)
	}
	c.write("etc/ndppd.conf", ndppdConfig)
	c.run("dpkg", "-i", "/root/ndppd.deb", "/root/ndproxyd.deb")
	c.run("systemctl", "enable", "--now", "ndppd")
	a.WantAnswer(conformance.Pod)

	t.Log("a file that ndppd does not start with is refused")
	c.write("etc/ndppd.conf", refusedConfig)
	if out := c.fails("sh", "/root/pre", "1"); !strings.Contains(out, "/etc/ndppd.conf:2:3: methods: ") {
		t.Errorf("the message is %s", out)
	}
	c.run("systemctl", "is-active", "ndppd")
	c.write("etc/ndppd.conf", ndppdConfig)

	t.Log("the first installation")
	c.run("sh", "/root/pre", "1")
	c.run("dpkg", "-r", "ndppd")
	c.run("dpkg", "-x", "/root/ndproxyd-ndppd.deb", "/")
	c.run("sh", "/root/posttrans", "1")
	a.WantAnswer(conformance.Pod)
	c.run("systemctl", "is-enabled", "ndproxyd")
	c.checkTakenOver(t)
	c.restarts(t, a, "systemctl", "restart", "ndppd")

	t.Log("an upgrade, and the removal")
	c.run("sh", "/root/pre", "2")
	c.run("systemctl", "is-active", "ndppd")
	c.restarts(t, a, "sh", "/root/posttrans", "2")
	c.run("rm", "-r", "/usr/sbin/ndppd", "/usr/lib/systemd/system/ndppd.service", "/usr/lib/systemd/system/ndproxyd.service.d")
	c.run("sh", "/root/postun", "0")
	if out := c.run("systemctl", "show", "-P", "ExecStart", "ndproxyd"); strings.Contains(out, "ndppd.conf") {
		t.Errorf("ndproxyd still reads ndppd's file: %s", out)
	}
}
