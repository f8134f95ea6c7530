// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"net/netip"
	"syscall"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestLinkLocalTargets asks for link-local addresses beside a rule that covers all: none
// is answered for, nor is one of those by which nodes of a cluster find each other.
func TestLinkLocalTargets(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", "::/0=static")
	a := newAsker(t, n)
	a.WantAnswer(conformance.Pod)
	for _, target := range []string{"fe80::1234", "fe80::6e64:7072:0:1", "fe80::6e64:7072:abcd:ef01"} {
		if f := a.Ask(addr(target), harness.Quiet); f != nil {
			t.Errorf("%s is answered for: % x", target, f)
		}
	}
}

// TestAnnouncedOverReload moves the socket by a reload between the announcements of an
// address: the rest of them come.
func TestAnnouncedOverReload(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	device(t, n.Node, "pods")
	const rules = "rules: [{prefix: '2001:db8:1:0:f::/80', method: route}]\n"
	config := harness.WriteConfig(t, "version: 1\nuplinks: [{interface: uplink}]\n"+rules)
	d := harness.Run(t, n.Node, "--config", config)
	a := newAsker(t, n)
	route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteAdd)
	first := a.Hear(conformance.Pod, harness.Patience)
	if first == nil {
		t.Fatal("the address is not announced")
	}
	harness.Rewrite(t, config, "version: 1\nuplinks: [{interface: uplink, socket: early}]\n"+rules)
	d.Reload()
	for i := range 2 {
		if f, _ := a.Announcement(conformance.Pod, harness.Patience); f == nil {
			t.Fatalf("%d announcements after the reload, want the other 2", i)
		}
	}
}

// TestVanishedInOverrun deletes the device of a living target while the daemon cannot
// hear of it.
func TestVanishedInOverrun(t *testing.T) {
	t.Parallel()
	n, pods := probed(t)
	harness.Must(t, pods.Address("eth0", conformance.Pod.String()+"/80"))
	device(t, n.Node, "others")
	d := harness.Run(t, n.Node, "--config", harness.WriteConfig(t,
		"version: 1\nuplinks: [{interface: uplink}]\nrules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: probe, devices: [pods], ttl: 1h}\n"))
	a := newAsker(t, n)
	a.WantAnswer(conformance.Pod)
	d.Signal(syscall.SIGSTOP)
	last := conformance.PodPrefix.Addr().As16()
	for i := range 10_000 {
		last[12], last[14], last[15] = 7, byte(i>>8), byte(i)
		route(t, n.Node, netip.AddrFrom16(last).String()+"/128", "others", n.Node.Link.RouteAdd)
	}
	harness.Must(t, n.Node.Delete("pods"))
	d.Signal(syscall.SIGCONT)
	a.WantSilence(conformance.Pod)
}
