// SPDX-License-Identifier: Apache-2.0

//go:build full

package systemd

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/docs"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// endless are commands that go on until they are stopped.
func endless(command string) bool {
	return strings.HasPrefix(command, "ndproxyd run") || strings.HasPrefix(command, "ndproxyd watch") || strings.Contains(command, "--watch")
}

// TestDocumentation does on a host what the documentation tells its operator to.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	n := &harness.Network{Router: harness.Namespace(t), Node: harness.Namespace(t)}
	harness.Must(t, n.Router.Veth(harness.RouterPort, conformance.RouterMAC, n.Node, "eth0", conformance.NodeMAC))
	harness.Must(t, n.Router.Address(harness.RouterPort, conformance.RouterAddr.String()+"/64"))
	harness.Must(t, n.Node.Address("eth0", conformance.NodeAddr.String()+"/64"))
	harness.Must(t, n.Node.Route("::/0", conformance.RouterAddr.String(), "eth0"))
	a := harness.NewAsker(t, n.Router, harness.RouterPort)
	c := newContainer(t, "bookworm", n.Node)
	c.boot()
	built := deb(t, "ndproxyd_*_amd64.deb")
	c.copyIn(built, "root/"+filepath.Base(built))
	ndppd, err := filepath.Glob("../../.cache/ndppd_*.deb")
	harness.Must(t, err)
	c.copyIn(ndppd[0], "root/ndppd.deb")
	c.write("etc/ndppd.conf", "proxy eth0 {\n  rule 2001:db8:1:0:f::/80 {\n    auto\n  }\n}\n")

	do := func(b docs.Block, command string) {
		t.Helper()
		command, _, _ = strings.Cut(strings.TrimPrefix(command, "sudo "), "  # ")
		if strings.TrimSpace(command) == "" {
			return
		}
		if strings.HasPrefix(command, "ndproxyd run") {
			c.run("systemctl", "stop", "ndproxyd")
			defer c.run("systemctl", "start", "ndproxyd")
		}
		if endless(command) { // timeout says 124 when it had to stop it
			command = "timeout 3 " + command + " || test $? = 124"
		}
		if out, err := c.try("bash", "-c", "cd /root; set -e; "+command); err != nil {
			t.Errorf("%s: %s: %v: %s", b, command, err, out)
		}
	}
	all := func(tag string) {
		t.Helper()
		for _, b := range docs.Tagged(t, tag) {
			if b.File == "docs/quickstart-host.md" && strings.Contains(b.Text, "ip link add") {
				c.write("etc/ndproxyd/config.yaml", docs.File(t, b.File, "/etc/ndproxyd/config.yaml"))
			}
			for _, command := range b.Lines() {
				do(b, command)
			}
		}
	}
	c.run("dpkg", "-i", "/root/ndppd.deb")
	all("node")
	c.run("dpkg", "-P", "--force-all", "ndppd")
	all("host")
	a.WantAnswer(conformance.Pod)
	all("host-end")
	a.WantSilence(conformance.Pod)
}
