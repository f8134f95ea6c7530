// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// translations have the node translate the rule's prefix to that of its container.
var translations = map[string]string{
	"nftables":       "nft add table ip6 nat; nft add chain ip6 nat pre '{ type nat hook prerouting priority dstnat; }'; nft add rule ip6 nat pre ip6 daddr 2001:db8:1:0:f::/80 dnat prefix to fd00:0:0:0:f::/80",
	"ip6tables":      "ip6tables -t nat -A PREROUTING -d 2001:db8:1:0:f::/80 -j NETMAP --to fd00:0:0:0:f::/80",
	"without states": "nft add table ip6 npt; nft add chain ip6 npt pre '{ type filter hook prerouting priority mangle; }'; nft add chain ip6 npt post '{ type filter hook postrouting priority mangle; }'; nft add rule ip6 npt pre ip6 daddr 2001:db8:1:0:f::5 ip6 daddr set fd00:0:0:0:f::5; nft add rule ip6 npt post ip6 saddr fd00:0:0:0:f::5 ip6 saddr set 2001:db8:1:0:f::5",
}

// TestMendTranslated has a rule for a prefix that is translated before it is routed.
// It needs no route, and a static rule does not send packets in circles.
func TestMendTranslated(t *testing.T) {
	t.Parallel()
	for name, script := range translations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			behindRouter(t, n)
			station(t, n, "br-1", addr("fd00::f:0:0:5"))
			harness.Must(t, n.Node.Route("fd00::f:0:0:0/80", "", "br-1"))
			mend{
				spoil: script, reason: "no_route_behind", silent: true,
				says:  []string{"firewall rules translate the packets", `set "method: static" for 2001:db8:1:0:f::/80`},
				rules: "2001:db8:1:0:f::/80=static",
			}.mended(t, n, addr("2001:db8:1:0:f::5"))
		})
	}
}

// circles counts how often a packet for an address comes back to the router.
func circles(t *testing.T, n *harness.Network, target netip.Addr) int {
	t.Helper()
	p := harness.OpenPort(t, n.Router, harness.RouterPort)
	pings(t, n.Router, target)
	came := 0
	const echoRequest = 128 // RFC 4443 §4.1
	for _, f := range p.Messages(echoRequest, 200*time.Millisecond) {
		if [16]byte(f[38:54]) == target.As16() {
			came++
		}
	}
	return came
}

// TestMendIPsec has a static rule for addresses that policies of IPsec take. Without
// the policies packets come back to the router, and check says so to root; somebody
// who cannot see the policies is told of the doubt.
func TestMendIPsec(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	behindRouter(t, n)
	pool := addr("2001:db8:5::5")
	harness.Must(t, n.Router.Route("2001:db8:5::/80", "", harness.RouterPort))
	static := []string{"--interface", harness.Uplink, "--rule", "2001:db8:5::/80=static"}
	harness.Run(t, n.Node, static...)
	a := newAsker(t, n)
	a.WantAnswer(pool)
	found := named(check(t, n, static...), "no_route_behind", "")
	if len(found) != 1 || contains(found[0].Effect, "unless IPsec") {
		t.Errorf("without policies:%s", show(found))
	}
	harness.Eventually(t, "a packet that comes back without policies, without which this test shows nothing", func() bool {
		return circles(t, n, pool) > 0
	})
	var out bytes.Buffer
	command(t, n, &out, 65534, append([]string{"check"}, static...)...)
	if !contains(out.String(), "unless IPsec or a translation of addresses takes them") {
		t.Errorf("without privilege: %s", &out)
	}

	shell(t, n.Node, "ip xfrm policy add src ::/0 dst 2001:db8:5::/80 dir out tmpl src 2001:db8:1::2 dst 2001:db8:99::1 proto esp mode tunnel")
	if found := named(check(t, n, static...), "no_route_behind", ""); len(found) > 0 {
		t.Errorf("with policies:%s", show(found))
	}
	if got := circles(t, n, pool); got > 0 {
		t.Errorf("with policies %d packets come back", got)
	}
	found = named(check(t, n, "--interface", harness.Uplink, "--rule", "2001:db8:5::/80=route"), "no_route_behind", "")
	if len(found) != 1 || !contains(found[0].Remedy, `set "method: static"`) || !contains(found[0].Problem, "IPsec policies take the packets") {
		t.Errorf("a rule with the method route:%s", show(found))
	}
	a.WantAnswer(pool)

	t.Log("policies for some senders only do not keep the others' packets from going in circles")
	shell(t, n.Node, "ip xfrm policy flush; ip xfrm policy add src 2001:db8:2::/64 dst 2001:db8:5::/80 dir out tmpl src 2001:db8:1::2 dst 2001:db8:99::1 proto esp mode tunnel")
	if found := named(check(t, n, static...), "no_route_behind", ""); len(found) != 1 {
		t.Errorf("with policies for others:%s", show(found))
	}
}
