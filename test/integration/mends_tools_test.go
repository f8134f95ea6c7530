// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/docs"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// shell runs a script with the programs of the host and of nftables in a namespace,
// as root does who follows a remedy.
func shell(t *testing.T, n *lab.Namespace, script string) {
	t.Helper()
	dir := filepath.Join(docs.Root(), ".cache", "netfilter")
	cmd := exec.Command("nsenter", "--net="+n.Path(), "bash", "-ec", script)
	cmd.Env = append(os.Environ(), "PATH="+dir+"/bin:"+os.Getenv("PATH"), "LD_LIBRARY_PATH="+dir+"/lib", "XTABLES_LIBDIR="+dir+"/xtables")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// outsider is the address of a station behind the router.
const outsider = "2001:db8:ffff::1"

// pings reports whether an address answers a station that is not on the link.
func pings(t *testing.T, router *lab.Namespace, target netip.Addr) bool {
	t.Helper()
	var conn *icmp.PacketConn
	harness.Must(t, router.Do(func() (err error) {
		conn, err = icmp.ListenPacket("ip6:ipv6-icmp", outsider)
		return err
	}))
	defer conn.Close()
	request := icmp.Message{Type: ipv6.ICMPTypeEchoRequest, Body: &icmp.Echo{ID: 7, Seq: 1, Data: make([]byte, 32)}}
	b, err := request.Marshal(nil)
	harness.Must(t, err)
	if _, err := conn.WriteTo(b, &net.IPAddr{IP: target.AsSlice()}); err != nil {
		return false
	}
	harness.Must(t, conn.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	for buf := make([]byte, 1500); ; {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return false
		}
		if reply, err := icmp.ParseMessage(ipv6.ICMPTypeEchoReply.Protocol(), buf[:n]); err == nil && reply.Type == ipv6.ICMPTypeEchoReply {
			return true
		}
	}
}

// behindRouter gives the router a station beyond the link, and the node its default
// route.
func behindRouter(t *testing.T, n *harness.Network) {
	t.Helper()
	shell(t, n.Router, "ip -6 addr replace "+outsider+"/128 dev lo")
	route(t, n.Node, "::/0", harness.Uplink, n.Node.Link.RouteAdd, func(r *netlink.Route) { r.Gw = conformance.RouterAddr.AsSlice() })
}

// station connects a station with an address to a device of the node, without a
// route to it.
func station(t *testing.T, n *harness.Network, dev string, target netip.Addr) *lab.Namespace {
	t.Helper()
	far := device(t, n.Node, dev)
	const gateway = "fe80::1"
	harness.Must(t, n.Node.Address(dev, gateway+"/64"))
	harness.Must(t, far.Address("eth0", target.String()+"/128"))
	harness.Must(t, far.Route("::/0", gateway, "eth0"))
	return far
}

// tunnelTo connects a station with an address to a tun device of the node, as a VPN
// does: there is no neighbor discovery, and a program carries the packets.
func tunnelTo(t *testing.T, n *harness.Network, name string, target netip.Addr) {
	t.Helper()
	far := harness.Namespace(t)
	end := tunnel(t, n, name)
	other := tunnel(t, &harness.Network{Node: far}, "tun0")
	harness.Must(t, far.Address("tun0", target.String()+"/128"))
	harness.Must(t, far.Route("::/0", "", "tun0"))
	carry := func(from, to *os.File) {
		for b := make([]byte, 2000); ; {
			k, err := from.Read(b)
			if err != nil {
				return
			}
			_, _ = to.Write(b[:k])
		}
	}
	go carry(end, other)
	go carry(other, end)
}

// named returns the findings of a reason and a severity, "" for any.
func named(found []inspect.Finding, reason string, severity inspect.Severity) []inspect.Finding {
	var out []inspect.Finding
	for _, f := range found {
		if f.Reason == reason && (severity == "" || f.Severity == severity) {
			out = append(out, f)
		}
	}
	return out
}

// show lists findings for a failed test.
func show(found []inspect.Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "\n%s %s: %s; %s; %s", f.Severity, f.Reason, f.Problem, f.Effect, f.Remedy)
	}
	return b.String()
}
