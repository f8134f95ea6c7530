// SPDX-License-Identifier: Apache-2.0

//go:build full

package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// newer returns the built package under a later version.
func newer(t *testing.T, path string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "deb")
	for _, args := range [][]string{{"dpkg-deb", "-R", path, dir}, {"sed", "-i", "s/^Version: .*/Version: 99.0-1/", dir + "/DEBIAN/control"}, {"dpkg-deb", "-Zgzip", "-b", dir, dir + ".deb"}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	return dir + ".deb"
}

// TestUpgrade upgrades, removes and purges the package while somebody asks.
func TestUpgrade(t *testing.T) {
	for release := range releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			upgrade(t, release)
		})
	}
}

func upgrade(t *testing.T, release string) {
	t.Helper()
	n := harness.NewNetwork(t)
	a := harness.NewAsker(t, n.Router, harness.RouterPort)
	c := newContainer(t, release, n.Node)
	c.boot()
	built := deb(t, "ndproxyd_*_amd64.deb")
	c.copyIn(built, "root/old.deb")
	c.copyIn(newer(t, built), "root/new.deb")
	c.run("dpkg", "-i", "/root/old.deb")
	c.write("etc/ndproxyd/config.yaml", config)
	c.run("systemctl", "enable", "--now", "ndproxyd")
	a.WantAnswer(conformance.Pod)
	pid := c.property("MainPID")

	got := a.While(conformance.Pod, func() { _, _ = c.try("dpkg", "-i", "/root/new.deb") })
	t.Logf("during an upgrade: %d of %d unanswered, longest time without an answer %s", got.Unanswered, got.Asked, got.Longest)
	if out := c.run("dpkg", "-s", "ndproxyd"); !strings.Contains(out, "Version: 99.0-1") {
		t.Errorf("not upgraded: %s", out)
	}
	if c.property("MainPID") == pid {
		t.Error("the old program runs on")
	}
	a.WantAnswer(conformance.Pod)
	if b, err := os.ReadFile(filepath.Join(c.root, "etc/ndproxyd/config.yaml")); err != nil || string(b) != config {
		t.Errorf("the operator's configuration is %s, %v", b, err)
	}

	c.run("dpkg", "-r", "ndproxyd")
	a.WantSilence(conformance.Pod)
	if !c.exists("etc/ndproxyd/config.yaml") || !c.exists("var/lib/private/ndproxyd") || c.exists("usr/bin/ndproxyd") {
		t.Error("a removal takes too much or too little")
	}
	c.run("dpkg", "-P", "ndproxyd")
	for _, path := range []string{"etc/ndproxyd", "var/lib/private/ndproxyd", "var/lib/ndproxyd", "etc/systemd/system/multi-user.target.wants/ndproxyd.service"} {
		if c.exists(path) {
			t.Errorf("a purge leaves %s", path)
		}
	}
}
