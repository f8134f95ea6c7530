// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// check runs the command on the node and returns its findings.
func check(t *testing.T, n *harness.Network, args ...string) []inspect.Finding {
	t.Helper()
	var out bytes.Buffer
	if code := command(t, n, &out, 0, append([]string{"check", "--output", "json"}, args...)...); code != 0 {
		t.Fatalf("check ends with %d: %s", code, out.String())
	}
	var result inspect.Inspection
	harness.Must(t, json.Unmarshal(out.Bytes(), &result))
	return result.Findings
}

func contains(s, part string) bool { return strings.Contains(s, part) }

// publicConfig copies a configuration to where every user can read it.
func publicConfig(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	harness.Must(t, err)
	return harness.PublicConfig(t, string(b))
}

// defaultByRA changes a default route as a router advertisement makes it.
func defaultByRA(t *testing.T, n *harness.Network, change func(*netlink.Route) error) {
	t.Helper()
	route(t, n.Node, "::/0", harness.Uplink, change, func(r *netlink.Route) {
		r.Gw, r.Protocol = conformance.RouterLinkLocal.AsSlice(), unix.RTPROT_RA
	})
}

// marked is a policy rule for packets that something on the host has marked.
func marked() *netlink.Rule {
	r := netlink.NewRule()
	r.Family, r.Mark, r.Table, r.Priority = netlink.FAMILY_V6, 0x200, 100, 10
	return r
}

// ingressFilter attaches a filter of tc that does nothing.
func ingressFilter(t *testing.T, n *harness.Network, link netlink.Link) {
	t.Helper()
	attrs := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}
	harness.Must(t, n.Node.Link.QdiscAdd(&netlink.Clsact{QdiscAttrs: attrs}))
	harness.Must(t, n.Node.Link.FilterAdd(&netlink.U32{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS, Priority: 1, Protocol: unix.ETH_P_ALL},
		ClassId:     netlink.MakeHandle(1, 1),
	}))
}

func removeIngress(t *testing.T, n *harness.Network, link netlink.Link) {
	t.Helper()
	attrs := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}
	harness.Must(t, n.Node.Link.QdiscDel(&netlink.Clsact{QdiscAttrs: attrs}))
}

// TestFindings breaks the host in one way after the other, and has check find it.
func TestFindings(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	device(t, n.Node, "pods")
	uplink, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	behindRouter(t, n)
	harness.Must(t, n.Node.Sysctl("net/ipv6/conf/"+harness.Uplink+"/proxy_ndp", "1"))
	good := []string{"--interface", harness.Uplink, "--rule", "2001:db8:1:0:f::/120=route"}
	route(t, n.Node, "2001:db8:1:0:f::/120", "pods", n.Node.Link.RouteAdd)
	if got := check(t, n, good...); len(got) != 0 {
		t.Fatalf("findings on a good host: %+v", got)
	}
	proxy := &netlink.Neigh{LinkIndex: uplink.Attrs().Index, Flags: netlink.NTF_PROXY, IP: addr("2001:db8:1:0:f::7").AsSlice()}
	steps := []struct {
		reason string
		spoil  func()
		mend   func()
		args   []string
	}{
		{
			reason: "forwarding_off",
			spoil:  func() { harness.Must(t, n.Node.Sysctl("net/ipv6/conf/all/forwarding", "0")) },
			mend:   func() { harness.Must(t, n.Node.Sysctl("net/ipv6/conf/all/forwarding", "1")) },
		},
		{
			reason: "accept_ra",
			spoil: func() {
				route(t, n.Node, "::/0", harness.Uplink, n.Node.Link.RouteDel)
				defaultByRA(t, n, n.Node.Link.RouteAdd)
			},
			mend: func() {
				defaultByRA(t, n, n.Node.Link.RouteDel)
				behindRouter(t, n)
			},
		},
		{
			reason: "kernel_proxy",
			spoil:  func() { harness.Must(t, n.Node.Link.NeighAdd(proxy)) },
			mend:   func() { harness.Must(t, n.Node.Link.NeighDel(proxy)) },
		},
		{reason: "not_on_link", args: []string{"--interface", harness.Uplink, "--rule", "2001:db8:77::/120=probe"}},
		{reason: "no_route_behind", args: []string{"--interface", harness.Uplink, "--rule", "2001:db8:1:0:e::/120=static"}},
		{
			reason: "firewall",
			spoil: func() {
				shell(t, n.Node, "nft add table inet fw; nft add chain inet fw f '{ type filter hook forward priority filter; policy drop; }'")
			},
			mend: func() { shell(t, n.Node, "nft delete table inet fw") },
		},
		{
			reason: "no_return_route",
			spoil:  func() { route(t, n.Node, "::/0", harness.Uplink, n.Node.Link.RouteDel) },
			mend:   func() { behindRouter(t, n) },
		},
		{
			reason: "ingress_filter",
			spoil:  func() { ingressFilter(t, n, uplink) },
			mend:   func() { removeIngress(t, n, uplink) },
		},
		{
			reason: "ingress_filter",
			spoil: func() {
				const pass = 2 // XDP_PASS
				program := harness.Program(t, unix.BPF_PROG_TYPE_XDP, pass)
				defer unix.Close(program)
				harness.Must(t, n.Node.Do(func() error { return netlink.LinkSetXdpFd(uplink, program) }))
			},
			mend: func() { harness.Must(t, n.Node.Do(func() error { return netlink.LinkSetXdpFd(uplink, -1) })) },
		},
	}
	d := harness.Run(t, n.Node, good...)
	for _, s := range steps {
		t.Log(s.reason)
		args := good
		if s.args != nil {
			args = s.args
		}
		if s.spoil != nil {
			s.spoil()
		}
		found := false
		for _, f := range check(t, n, args...) {
			found = found || f.Reason == s.reason && f.Severity == inspect.Warning && f.Problem != "" && f.Effect != "" && f.Remedy != "" && f.Interface == harness.Uplink
		}
		if !found {
			t.Errorf("%s is not found", s.reason)
		}
		if s.spoil == nil {
			continue
		}
		series := `ndproxyd_misconfiguration{interface="uplink",reason="` + s.reason + `"}`
		shown := func(want float64) func() bool { // the daemon hears of it by an event
			return func() bool {
				_, metrics := d.Get("/metrics")
				return metric(t, metrics, series) == want
			}
		}
		harness.Eventually(t, s.reason+" in the metrics", shown(1))
		s.mend()
		harness.Eventually(t, "end of "+s.reason+" in the metrics", shown(0))
	}
	t.Log("another_responder")
	harness.Must(t, n.Router.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	other := harness.Run(t, n.Router, "--interface", harness.RouterPort, "--rule", "2001:db8:1:0:f::/120=static")
	responder := false
	for _, f := range check(t, n, good...) {
		responder = responder || f.Reason == "another_responder" && contains(f.Problem, "02:00:00:00:00:01")
	}
	if !responder {
		t.Error("another_responder is not found")
	}
	other.Signal(syscall.SIGTERM)
	other.Exit()
	t.Log("bridge_port")
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br0"
	harness.Must(t, n.Node.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	bridge, err := n.Node.Link.LinkByName("br0")
	harness.Must(t, err)
	harness.Must(t, n.Node.Link.LinkSetMaster(uplink, bridge))
	if found := check(t, n, "--interface", harness.Uplink, "--rule", "2001:db8:1:0:f::/80=static"); len(named(found, "bridge_port", inspect.Warning)) != 1 {
		t.Errorf("bridge_port is not found:%s", show(found))
	}
}
