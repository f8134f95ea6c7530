// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// reliefRate is how many unicast solicitations a second come: a moment in which nothing
// keeps them from the kernel lasts a few milliseconds.
const reliefRate = 5000

// forwarded returns how many packets a namespace has forwarded over IPv6.
func forwarded(t *testing.T, ns *lab.Namespace) (n int) {
	t.Helper()
	harness.Must(t, ns.Do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/snmp6")
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(string(b), "Ip6OutForwDatagrams")
		_, err = fmt.Sscan(rest, &n)
		return err
	}))
	return n
}

// TestRelief has the nftables table and a program at tc ingress take each other's place,
// after a restart and after a reload, while unicast solicitations come: at each moment one
// of them keeps these from the kernel's IPv6, which would forward them.
func TestRelief(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	device(t, n.Node, "pods")
	route(t, n.Node, conformance.PodPrefix.String(), "pods", n.Node.Link.RouteAdd)
	harness.Must(t, n.Router.Sysctl("net/ipv6/conf/all/forwarding", "1")) // hears solicitations for others
	folder := harness.BPFFS(t)
	write := func(path, settings string) string {
		text := strings.Replace(inKernel(folder, ", consume_unicast: true"+settings, staticPods), "fast_path: tc", "fast_path: "+path, 1)
		return harness.WriteConfig(t, text)
	}
	answers := func(way string) func(status.Status) bool {
		return func(s status.Status) bool {
			return s.Ready && len(s.Uplinks) == 1 && s.Uplinks[0].FastPath != nil && s.Uplinks[0].FastPath.Way == way
		}
	}
	f := conformance.Solicitation(conformance.Pod)
	f.EtherDst, f.Dest = conformance.NodeMAC, conformance.Pod
	const tc, socket, generic = "tc", "packet-socket", "xdp-generic"
	file := write(tc, "")
	d := harness.Start(t, n.Node, "--config", file)
	d.Wait("a program in the kernel", answers(tc))
	before := forwarded(t, n.Node)
	stop := harness.Flood(t, n.Router, harness.RouterPort, reliefRate, [][]byte{f.Bytes()})
	check := func(what string) {
		t.Helper()
		if now := forwarded(t, n.Node); now != before {
			t.Errorf("%s: the kernel has forwarded %d unicast solicitations", what, now-before)
			before = now
		}
	}
	for _, step := range []struct {
		name, path, settings, way string
		restart                   bool
	}{
		{name: "restart to the packet socket", path: "off", way: socket, restart: true},
		{name: "reload to tc", path: "tc", way: tc},
		{name: "reload to auto", path: "auto", way: tc},
		{name: "reload to the packet socket", path: "off", way: socket},
		{name: "reload to tc again", path: "tc", way: tc},
		{name: "reload to XDP", path: "xdp-generic", way: generic},
		{name: "reload from XDP to tc", path: "tc", way: tc},
		{name: "restart to XDP", path: "xdp-generic", way: generic, restart: true},
		{name: "reload from XDP to tc again", path: "tc", way: tc},
		{name: "reload to what the program cannot do", path: "tc", settings: ", limit_per_asker: 10000", way: socket},
		{name: "reload to what it can do", path: "tc", way: tc},
		{name: "restart to what the program cannot do", path: "tc", settings: ", limit_per_asker: 10000", way: socket, restart: true},
	} {
		b, err := os.ReadFile(write(step.path, step.settings))
		harness.Must(t, err)
		harness.Rewrite(t, file, string(b))
		if step.restart {
			d.Signal(syscall.SIGTERM)
			d.Exit()
			d = harness.Start(t, n.Node, "--config", file)
		} else {
			d.Reload()
		}
		d.Wait(step.name, answers(step.way))
		check(step.name)
	}
	sent := stop()
	check("afterwards")
	t.Logf("%d unicast solicitations were sent", sent)
}
