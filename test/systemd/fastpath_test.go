// SPDX-License-Identifier: Apache-2.0

//go:build full

package systemd

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// capFastPath are the bits of CAP_NET_ADMIN (12), CAP_NET_RAW (13) and CAP_BPF (39).
const capFastPath = "0000008000003000"

// TestFastPath turns the drop-in on, and has the program answer while the daemon restarts,
// is killed and is upgraded, until the package is removed.
func TestFastPath(t *testing.T) {
	for release := range releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			a := harness.NewAsker(t, n.Router, harness.RouterPort)
			c := newContainer(t, release, n.Node)
			c.mountBPFFS()
			c.boot()
			harness.Must(t, os.Mkdir(filepath.Join(c.bpffs, "another"), 0o755)) // what others pin
			built := deb(t, "ndproxyd_*_amd64.deb")
			c.copyIn(built, "root/old.deb")
			c.copyIn(newer(t, built), "root/new.deb")
			c.run("dpkg", "-i", "/root/old.deb")
			c.write("etc/ndproxyd/config.yaml", config)
			c.run("systemctl", "enable", "--now", "ndproxyd")

			t.Log("off")
			a.WantAnswer(conformance.Pod)
			c.wantWay(t, "packet-socket", capNetRaw)
			c.wantPinned(t, false)

			t.Log("on")
			c.grant()
			a.WantAnswer(conformance.Pod)
			c.wantWay(t, "tc", capFastPath)
			c.wantPinned(t, true)
			if out := c.run("nsenter", "-t", c.property("MainPID"), "-m", "ls", "/sys/fs/bpf"); strings.TrimSpace(out) != "ndproxyd" {
				t.Errorf("the daemon sees %s", out)
			}
			for name, args := range map[string][]string{
				"a restart":  {"systemctl", "restart", "ndproxyd"},
				"a kill":     {"systemctl", "kill", "--kill-whom=main", "--signal=KILL", "ndproxyd"},
				"an upgrade": {"dpkg", "-i", "/root/new.deb"},
			} {
				pid := c.property("MainPID")
				got := a.While(conformance.Pod, func() {
					c.run(args...)
					c.eventually("another process", func() bool { now := c.property("MainPID"); return now != pid && now != "0" })
					c.wait("ActiveState", "active")
				})
				if t.Logf("during %s: %d of %d unanswered", name, got.Unanswered, got.Asked); got.Unanswered != 0 || got.Asked == 0 {
					t.Errorf("%s loses solicitations", name)
				}
				c.wantWay(t, "tc", capFastPath)
			}

			t.Log("silence at once")
			if out := c.fails("ndproxyd", "detach"); !strings.Contains(out, "detach uplink: a daemon that runs answers with the program: a service of systemd") {
				t.Errorf("detach beside the daemon says %s", out)
			}
			a.WantAnswer(conformance.Pod)
			c.run("systemctl", "stop", "ndproxyd")
			if out := c.run("ndproxyd", "detach"); !strings.Contains(out, "removed from uplink: ") {
				t.Errorf("detach says %s", out)
			}
			a.WantSilence(conformance.Pod)
			if out := c.run("ndproxyd", "detach"); out != "" {
				t.Errorf("detach of nothing says %s", out)
			}

			t.Log("removal")
			c.run("systemctl", "start", "ndproxyd")
			a.WantAnswer(conformance.Pod)
			c.wantPinned(t, true)
			c.run("dpkg", "-r", "ndproxyd")
			a.WantSilence(conformance.Pod)
			if left := c.pins(t); !slices.Equal(left, []string{"another"}) {
				t.Errorf("the removal leaves %v", left)
			}
		})
	}
}

// grant does what security.md says.
func (c *container) grant() {
	c.t.Helper()
	c.run("mkdir", "-p", "/etc/systemd/system/ndproxyd.service.d")
	c.run("ln", "-s", "/usr/share/ndproxyd/fast-path.conf", "/etc/systemd/system/ndproxyd.service.d/")
	c.run("systemctl", "daemon-reload")
	c.run("systemctl", "restart", "ndproxyd")
}

// wantWay wants the daemon to answer in a way, and to have these capabilities.
func (c *container) wantWay(t *testing.T, way, capabilities string) {
	t.Helper()
	c.eventually("answers by "+way, func() bool {
		var s status.Status
		out, err := c.try("ndproxyd", "status", "--output", "json")
		return err == nil && json.Unmarshal([]byte(out), &s) == nil && len(s.Uplinks) == 1 && s.Uplinks[0].FastPath != nil && s.Uplinks[0].FastPath.Way == way
	})
	text := c.run("cat", "/proc/"+c.property("MainPID")+"/status")
	for _, set := range []string{"CapEff", "CapPrm", "CapBnd", "CapAmb"} {
		if !regexp.MustCompile(`(?m)^` + set + `:\s+` + capabilities + `$`).MatchString(text) {
			t.Errorf("%s is not %s: %s", set, capabilities, text)
		}
	}
}

// pins returns what is in the container's BPF file system, but for the kernel's own files.
func (c *container) pins(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(c.bpffs, func(path string, _ os.DirEntry, err error) error {
		if err == nil && path != c.bpffs && !strings.HasSuffix(path, ".debug") {
			paths = append(paths, strings.TrimPrefix(path, c.bpffs+"/"))
		}
		return err
	})
	harness.Must(t, err)
	return paths
}

// wantPinned waits until the daemon has pinned something, or nothing.
func (c *container) wantPinned(t *testing.T, want bool) {
	t.Helper()
	c.eventually(fmt.Sprintf("pins: %t", want), func() bool {
		return slices.ContainsFunc(c.pins(t), func(p string) bool { return strings.Count(p, "/") > 2 }) == want
	})
}
