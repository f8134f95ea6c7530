// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// mend is a fault of the host, and the remedy that check names for it.
type mend struct {
	name string
	// rule is the configuration's, podRoute unless it is set.
	rule string
	// spoil breaks the node.
	spoil    string
	reason   string
	severity inspect.Severity // Warning unless it is set
	// says are words of the finding.
	says []string
	// mend returns the commands of the remedy, as somebody takes them from it. The
	// default is the whole remedy.
	mend func(remedy string) string
	// rules are those of the configuration after a remedy that changes it.
	rules string
	// reached is true where pings get through in spite of the fault.
	reached bool
	// silent is true where the address is not answered for before.
	silent bool
}

const podRoute = "2001:db8:1:0:f::/80=route"

// until returns the remedy as far as one of some words.
func until(words ...string) func(string) string {
	return func(remedy string) string {
		for _, w := range words {
			remedy, _, _ = strings.Cut(remedy, w)
		}
		return remedy
	}
}

// quoted returns the first command in quotation marks, with words replaced.
func quoted(replace ...string) func(string) string {
	return func(remedy string) string {
		_, rest, _ := strings.Cut(remedy, `"`)
		command, _, _ := strings.Cut(rest, `"`)
		return strings.NewReplacer(replace...).Replace(command)
	}
}

// replaced returns the remedy with words replaced.
func replaced(replace ...string) func(string) string {
	return func(remedy string) string { return strings.NewReplacer(replace...).Replace(remedy) }
}

// mended breaks a node on a network, has check find the fault, follows the remedy,
// and wants the finding gone and the address answered for and reached from beyond
// the router.
func (m mend) mended(t *testing.T, n *harness.Network, target netip.Addr) {
	t.Helper()
	args := func(rule string) []string {
		return []string{"--interface", harness.Uplink, "--rule", rule}
	}
	rule, severity := m.rule, m.severity
	if rule == "" {
		rule = podRoute
	}
	if severity == "" {
		severity = inspect.Warning
	}
	if m.spoil != "" {
		shell(t, n.Node, m.spoil)
	}
	d := harness.Run(t, n.Node, args(rule)...)
	found := named(check(t, n, args(rule)...), m.reason, severity)
	if len(found) != 1 {
		t.Fatalf("want one %s %s, got%s", severity, m.reason, show(check(t, n, args(rule)...)))
	}
	text := found[0].Problem + "\n" + found[0].Effect + "\n" + found[0].Remedy
	t.Log(text)
	for _, words := range m.says {
		if !contains(text, words) {
			t.Errorf("no %q in:\n%s", words, text)
		}
	}
	a := newAsker(t, n)
	if m.silent {
		a.WantSilence(target)
	} else {
		a.WantAnswer(target)
	}
	if m.reached {
		harness.Eventually(t, "ping before the remedy", func() bool { return pings(t, n.Router, target) })
	} else if pings(t, n.Router, target) {
		t.Error("the address is reached before the remedy")
	}
	commands := found[0].Remedy
	if m.mend != nil {
		commands = m.mend(commands)
	}
	t.Logf("follow: %s %s", commands, m.rules)
	if m.rules != "" {
		rule = m.rules
		harness.Must(t, d.Process.Kill())
		d.Exit()
		harness.Run(t, n.Node, args(rule)...)
	} else {
		shell(t, n.Node, commands)
	}
	harness.Eventually(t, "end of the finding", func() bool { // a route may have to be advertised first
		left := named(check(t, n, args(rule)...), m.reason, severity)
		if len(left) > 0 {
			t.Logf("the finding stays:%s", show(left))
		}
		return len(left) == 0
	})
	a.WantAnswer(target)
	harness.Eventually(t, "ping from beyond the router", func() bool { return pings(t, n.Router, target) })
}

// TestMends follows the remedies for a container behind a device with a route.
func TestMends(t *testing.T) {
	t.Parallel()
	const (
		pod     = "2001:db8:1:0:f::5"
		forward = "nft add table inet filter; nft add chain inet filter forward '{ type filter hook forward priority filter; policy drop; }'; "
	)
	for _, m := range []mend{
		{name: "forwarding is off", spoil: "sysctl -w net.ipv6.conf.all.forwarding=0", reason: "forwarding_off"},
		{
			name: "forwarding is on by force, on the uplink alone", reason: "forwarding_off", says: []string{"arrive on br-1", "what the addresses send is dropped"},
			spoil: "sysctl -w net.ipv6.conf.all.forwarding=0 net.ipv6.conf.uplink.force_forwarding=1",
		},
		{name: "kernel proxy beside us", spoil: "sysctl -w net.ipv6.conf.uplink.proxy_ndp=1; ip -6 neigh add proxy " + pod + " dev uplink", reason: "kernel_proxy", reached: true},
		{name: "no default route", spoil: "ip -6 route del default", reason: "no_return_route", mend: func(remedy string) string {
			_, command, _ := strings.Cut(remedy, "otherwise ")
			return strings.ReplaceAll(command, "ROUTER", conformance.RouterAddr.String())
		}, says: []string{"the kernel has no default route", "accept_ra=2"}},
		{
			name: "the default route refuses", spoil: "ip -6 route del default; ip -6 route add unreachable default metric 5", reason: "no_return_route",
			mend: replaced("ROUTER", conformance.RouterAddr.String()), says: []string{"refuses packets for addresses outside (unreachable default"},
		},
		{name: "policy of ip6tables", spoil: "ip6tables -P FORWARD DROP", reason: "firewall", says: []string{"the policy of ip6 filter FORWARD", "ip6tables -I FORWARD -i uplink -o br-1 -j ACCEPT && ip6tables -I FORWARD -i br-1 -o uplink -j ACCEPT"}},
		{
			name: "policy that Docker has set for its own networks", reason: "firewall",
			spoil: "ip6tables -P FORWARD DROP; ip6tables -N DOCKER-USER; ip6tables -A FORWARD -j DOCKER-USER; ip6tables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; ip6tables -A FORWARD -i docker0 -j ACCEPT",
			says:  []string{"ip6tables -I DOCKER-USER -i uplink -o br-1 -j ACCEPT"},
		},
		{name: "policy of nftables", spoil: forward, reason: "firewall", says: []string{`nft insert rule inet filter forward iifname "uplink" oifname "br-1" accept`}},
		{
			name: "policy of nftables that lets other devices pass", reason: "firewall",
			spoil: forward + `nft add rule inet filter forward iifname "eth1" accept; nft add rule inet filter forward ip6 daddr 2001:db8:1:0:e::/80 accept`,
		},
		{name: "nothing may leave the container", spoil: "nft add table ip6 f; nft add chain ip6 f forward '{ type filter hook forward priority 5; }'; nft add rule ip6 f forward iifname br-1 reject", reason: "firewall", says: []string{"what the addresses send is dropped"}},
		{
			name: "replies only", spoil: forward + "nft add rule inet filter forward ct state established,related accept; nft add rule inet filter forward iifname br-1 accept",
			reason: "firewall", severity: inspect.Info, says: []string{"drops new connections", "nothing has to be done where that is intended"},
			mend: func(remedy string) string { _, command, _ := strings.Cut(remedy, "otherwise "); return command },
		},
		{
			name: "Docker 28", spoil: "ip6tables -t raw -A PREROUTING -d " + pod + " ! -i br-1 -j DROP", reason: "docker_direct_routing",
			says: []string{"ip6 raw PREROUTING drops what arrives on uplink for " + pod, "com.docker.network.bridge.gateway_mode_ipv6=routed", "com.docker.network.bridge.trusted_host_interfaces=uplink", "allow-direct-routing"},
			// There is no Docker here: this is what it does for a trusted interface.
			mend: func(string) string { return "ip6tables -t raw -I PREROUTING -d " + pod + " -i uplink -j ACCEPT" },
		},
		{
			name: "Docker 29", reason: "docker_direct_routing",
			spoil: `nft add table ip6 docker-bridges; nft add chain ip6 docker-bridges raw-PREROUTING '{ type filter hook prerouting priority raw; }'; nft add rule ip6 docker-bridges raw-PREROUTING ip6 daddr ` + pod + ` iifname != "br-1" counter drop comment '"DROP DIRECT ACCESS"'`,
			// Docker has no such rule in the gateway mode "routed".
			mend: func(string) string { return "nft flush chain ip6 docker-bridges raw-PREROUTING" },
		},
		{
			name: "reverse path filter, and the default route leads elsewhere", reason: "reverse_path",
			spoil: "ip link add other type veth peer name other2; ip link set other up; ip link set other2 up; ip -6 route del default; ip -6 route add default dev other; ip -6 route add 2001:db8:ffff::/64 via " + conformance.RouterAddr.String() + " table 99; ip -6 rule add to 2001:db8:ffff::/64 iif br-1 lookup 99 prio 99; " +
				"nft add table inet f; nft add chain inet f pre '{ type filter hook prerouting priority filter; }'; nft add rule inet f pre meta nfproto ipv6 fib saddr . iif oif missing drop",
			mend: until(", or"),
		},
		{
			name: "a policy that drops what comes in, for all", reason: "firewall",
			spoil: "ip6tables -t mangle -A PREROUTING -i uplink -p tcp -j DROP; ip6tables -t mangle -A PREROUTING -i uplink -d 2001:db8:1:0:f::/80 -j DROP",
		},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			behindRouter(t, n)
			station(t, n, "br-1", addr(pod))
			harness.Must(t, n.Node.Route("2001:db8:1:0:f::/80", "", "br-1"))
			m.mended(t, n, addr(pod))
		})
	}
}

// TestMendsOfRoutes follows the remedies for a container that the kernel does not
// route to.
func TestMendsOfRoutes(t *testing.T) {
	t.Parallel()
	const pod = "2001:db8:1:0:f::5"
	for _, m := range []mend{
		{name: "no route", reason: "no_route_behind", silent: true, says: []string{"ip -6 route add 2001:db8:1:0:f::/80 dev br-1"}},
		{name: "no route, static", rule: "2001:db8:1:0:f::/80=static", reason: "no_route_behind", says: []string{"leave by the uplink again or are refused"}},
		{name: "no route, two devices", spoil: "ip link add br-2 type bridge; ip link set br-2 up", reason: "no_route_behind", silent: true, says: []string{"dev DEVICE, with the device"}, mend: func(remedy string) string {
			return until(", with")(replaced("DEVICE", "br-1")(remedy))
		}},
		{name: "no route, two devices of which one has an address there", spoil: "ip link add br-2 type bridge; ip link set br-2 up; ip addr add 2001:db8:1:0:f::1/128 dev br-1", rule: "2001:db8:1:0:f::4/126=route", reason: "no_route_behind", silent: true, says: []string{"2001:db8:1:0:f::4/126 dev DEVICE"}, mend: func(remedy string) string {
			return until(", with")(replaced("DEVICE", "br-1")(remedy))
		}},
		{
			name: "the link's own prefix", rule: "2001:db8:1::/64=route", reason: "no_route_behind", silent: true,
			says: []string{`"ip -6 route add ADDRESS/128 dev br-1"`, `"method: probe" and "devices: [br-1]"`}, mend: quoted("ADDRESS", pod),
		},
		{name: "everything", rule: "::/0=route", reason: "no_route_behind", silent: true, says: []string{"ADDRESS/128 dev DEVICE"}, mend: quoted("ADDRESS", pod, "DEVICE", "br-1")},
		{
			name: "kernel proxy where nobody else answers", spoil: "sysctl -w net.ipv6.conf.uplink.proxy_ndp=1; ip -6 neigh add proxy " + pod + " dev uplink", reason: "kernel_proxy", severity: inspect.Info,
			says: []string{"which ndproxyd does not answer for (no_route", "keep the entry"},
			mend: quoted("DEVICE", "br-1"), // and the finding turns into the other one
		},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			behindRouter(t, n)
			station(t, n, "br-1", addr(pod))
			if m.reason == "kernel_proxy" {
				m.mendedTwice(t, n, addr(pod))
				return
			}
			m.mended(t, n, addr(pod))
		})
	}
}

// mendedTwice follows the remedy for a proxy entry that nobody else answers for: the
// entry becomes superfluous, and its own remedy is followed.
func (m mend) mendedTwice(t *testing.T, n *harness.Network, target netip.Addr) {
	t.Helper()
	args := []string{"--interface", harness.Uplink, "--rule", podRoute}
	shell(t, n.Node, m.spoil)
	d := harness.Run(t, n.Node, args...)
	found := named(check(t, n, args...), m.reason, "")
	if len(found) != 1 || found[0].Severity != m.severity || contains(found[0].Remedy, "neigh del") {
		t.Fatalf("got%s", show(found))
	}
	for _, words := range m.says {
		if !contains(found[0].Problem+found[0].Remedy, words) {
			t.Errorf("no %q in:\n%s", words, show(found))
		}
	}
	shell(t, n.Node, m.mend(found[0].Remedy))
	found = named(check(t, n, args...), m.reason, "")
	if len(found) != 1 || found[0].Severity != inspect.Warning {
		t.Fatalf("after the first remedy:%s", show(found))
	}
	harness.Eventually(t, "explanation of an answer", func() bool { return d.Explain(target).Answers[0].Answered })
	shell(t, n.Node, found[0].Remedy)
	if found = named(check(t, n, args...), m.reason, ""); len(found) > 0 {
		t.Errorf("after the second remedy:%s", show(found))
	}
	newAsker(t, n).WantAnswer(target)
	harness.Eventually(t, "ping from beyond the router", func() bool { return pings(t, n.Router, target) })
}

// TestMendKernelProxyOfTunnel has the kernel's proxy entry for an address behind a
// tunnel deleted, as check says: the address stays reachable.
func TestMendKernelProxyOfTunnel(t *testing.T) {
	t.Parallel()
	const peer = "2001:db8:1:0:a::5"
	n := harness.NewNetwork(t)
	behindRouter(t, n)
	tunnelTo(t, n, "wg0", addr(peer))
	harness.Must(t, n.Node.Address("wg0", "2001:db8:1:0:a::1/112"))
	mend{
		rule: "2001:db8:1:0:a::/112=route", spoil: "sysctl -w net.ipv6.conf.uplink.proxy_ndp=1; ip -6 neigh add proxy " + peer + " dev uplink",
		reason: "kernel_proxy", reached: true,
	}.mended(t, n, addr(peer))
}

// TestProxyThatIsOff has entries that the kernel does not answer for.
func TestProxyThatIsOff(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	shell(t, n.Node, "ip -6 neigh add proxy 2001:db8:1:0:f::5 dev uplink")
	if found := named(check(t, n, "--interface", harness.Uplink, "--rule", "2001:db8:1:0:f::/80=static"), "kernel_proxy", ""); len(found) != 1 || found[0].Severity != inspect.Info {
		t.Errorf("got%s", show(found))
	}
	a := newAsker(t, n)
	time.Sleep(100 * time.Millisecond)
	if a.Ask(addr("2001:db8:1:0:f::5"), 2*time.Second) != nil {
		t.Error("the kernel answers")
	}
}
