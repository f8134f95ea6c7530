// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/docs"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// documented is a node with the interface that the documentation has.
func documented(t *testing.T) *harness.Network {
	t.Helper()
	n := &harness.Network{Router: harness.Namespace(t), Node: harness.Namespace(t)}
	harness.Must(t, n.Node.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	harness.Must(t, n.Router.Veth(harness.RouterPort, conformance.RouterMAC, n.Node, "eth0", conformance.NodeMAC))
	harness.Must(t, n.Router.Address(harness.RouterPort, conformance.RouterAddr.String()+"/64"))
	harness.Must(t, n.Node.Address("eth0", conformance.NodeAddr.String()+"/64"))
	harness.Must(t, n.Node.Route("::/0", conformance.RouterAddr.String(), "eth0"))
	return n
}

// TestReadme runs the README's commands of the daemon.
func TestReadme(t *testing.T) {
	t.Parallel()
	ran := 0
	for _, b := range docs.Tagged(t, "repo") {
		for _, line := range b.Lines() {
			args, ok := strings.CutPrefix(strings.TrimPrefix(line, "sudo "), "bin/ndproxyd ")
			if !ok {
				continue
			}
			ran++
			t.Run(args, func(t *testing.T) {
				t.Parallel()
				d := harness.StartProgram(t, documented(t).Node, harness.Binary(t), strings.Fields(args)...)
				d.WaitReady()
				d.Signal(syscall.SIGTERM)
				if code := d.Exit(); code != 0 {
					t.Errorf("%s: %s ends with %d", b, line, code)
				}
			})
		}
	}
	if ran == 0 {
		t.Error("the README runs nothing")
	}
}

// TestNetfilter runs what the documentation does with nftables.
func TestNetfilter(t *testing.T) {
	t.Parallel()
	nft := filepath.Join(docs.Root(), ".cache", "netfilter")
	for _, b := range docs.Tagged(t, "netfilter") {
		n := documented(t)
		cmd := exec.Command("nsenter", "--net="+n.Node.Path(), "bash", "-ec", b.Text)
		cmd.Env = append(os.Environ(), "PATH="+nft+"/bin:"+os.Getenv("PATH"), "LD_LIBRARY_PATH="+nft+"/lib")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", b, err, out)
		}
	}
}
