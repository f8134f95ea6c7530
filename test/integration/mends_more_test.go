// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"

	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestNoAlarm has hosts on which everything works, and check finds nothing.
func TestNoAlarm(t *testing.T) {
	t.Parallel()
	const (
		pod = "2001:db8:1:0:f::5"
		// What ufw, firewalld and Docker make, as far as it matters here.
		stateful  = "nft add table inet filter; nft add chain inet filter forward '{ type filter hook forward priority filter; policy drop; }'; nft add rule inet filter forward ct state established,related accept; nft add rule inet filter forward icmpv6 type '{ echo-request, packet-too-big }' accept; nft add rule inet filter forward iifname br-1 accept; nft add rule inet filter forward tcp dport 443 accept"
		ufw       = "ip6tables -P FORWARD DROP; ip6tables -N ufw6-before-forward; ip6tables -A FORWARD -j ufw6-before-forward; ip6tables -A ufw6-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; ip6tables -A ufw6-before-forward -p ipv6-icmp --icmpv6-type echo-request -j ACCEPT; ip6tables -N ufw6-user-forward; ip6tables -A FORWARD -j ufw6-user-forward; ip6tables -A ufw6-user-forward -i uplink -o br-1 -j ACCEPT; ip6tables -A ufw6-user-forward -i br-1 -o uplink -j ACCEPT"
		firewalld = "nft add table inet firewalld; nft add chain inet firewalld filter_PREROUTING '{ type filter hook prerouting priority filter + 10; }'; nft add rule inet firewalld filter_PREROUTING icmpv6 type '{ nd-router-advert, nd-neighbor-solicit }' accept; nft add rule inet firewalld filter_PREROUTING meta nfproto ipv6 fib saddr . mark . iif oif missing drop; nft add chain inet firewalld filter_FORWARD '{ type filter hook forward priority filter + 10; policy accept; }'; nft add rule inet firewalld filter_FORWARD ct state '{ established, related }' accept; nft add chain inet firewalld allow; nft add rule inet firewalld allow oifname br-1 accept; nft add rule inet firewalld filter_FORWARD jump allow; nft add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited"
		docker    = "ip6tables -P FORWARD DROP; for c in DOCKER-USER DOCKER-FORWARD DOCKER-BRIDGE DOCKER-CT DOCKER; do ip6tables -N $c; done; ip6tables -A FORWARD -j DOCKER-USER; ip6tables -A FORWARD -j DOCKER-FORWARD; ip6tables -A DOCKER-FORWARD -j DOCKER-CT; ip6tables -A DOCKER-CT -o br-1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; ip6tables -A DOCKER-FORWARD -j DOCKER-BRIDGE; ip6tables -A DOCKER-BRIDGE -o br-1 -j DOCKER; ip6tables -A DOCKER -p ipv6-icmp -o br-1 -j ACCEPT; ip6tables -A DOCKER ! -i br-1 -o br-1 -j DROP; ip6tables -A DOCKER-FORWARD -i br-1 -j ACCEPT; ip6tables -t nat -N DOCKER; ip6tables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER; ip6tables -t raw -A PREROUTING -d 2001:db8:1:0:e::99 ! -i br-2 -j DROP"
	)
	for _, tt := range []struct{ name, spoil, rule string }{
		{"a route", "", podRoute},
		{"a host route", "ip -6 route del 2001:db8:1:0:f::/80; ip -6 route add " + pod + "/128 dev br-1", podRoute},
		{"static", "", "2001:db8:1:0:f::/80=static"},
		{"a stateful firewall", stateful, podRoute},
		{"ufw", ufw, podRoute},
		{"firewalld", firewalld, podRoute},
		{"Docker in the gateway mode routed", docker, podRoute},
		{"rpfilter", "ip6tables -t raw -A PREROUTING -m rpfilter --invert -j DROP", podRoute},
		{"a default route through a table that a policy rule names", "ip -6 route del default; ip -6 route add default via 2001:db8:1::ff dev uplink table 100; ip -6 rule add lookup 100 prio 40000", podRoute},
		{"half the internet twice", "ip -6 route del default; ip -6 route add 2000::/4 via 2001:db8:1::ff dev uplink; ip -6 route add 3000::/4 via 2001:db8:1::ff dev uplink", podRoute},
		{"AnyIP", "ip -6 route del 2001:db8:1:0:f::/80; ip -6 route add local 2001:db8:1:0:f::/80 dev lo", podRoute},
		{"AnyIP, static, and a firewall of the host", "ip -6 route del 2001:db8:1:0:f::/80; ip -6 route add local 2001:db8:1:0:f::/80 dev lo; ip6tables -P INPUT DROP; ip6tables -A INPUT -p ipv6-icmp -j ACCEPT; ip6tables -A INPUT -p tcp --dport 22 -j ACCEPT", "2001:db8:1:0:f::/80=static"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			behindRouter(t, n)
			station(t, n, "br-1", addr(pod))
			harness.Must(t, n.Node.Route("2001:db8:1:0:f::/80", "", "br-1"))
			if tt.spoil != "" {
				shell(t, n.Node, tt.spoil)
			}
			args := []string{"--interface", harness.Uplink, "--rule", tt.rule}
			harness.Run(t, n.Node, args...)
			newAsker(t, n).WantAnswer(addr(pod))
			harness.Eventually(t, "ping from beyond the router", func() bool { return pings(t, n.Router, addr(pod)) })
			for _, f := range check(t, n, args...) {
				if f.Reason != "policy_rules" { // which is another matter
					t.Errorf("found%s", show([]inspect.Finding{f}))
				}
			}
		})
	}
}

// TestNoAlarmAtStart starts on a host on which everything works, with rules that follow
// the uplink's prefixes: nothing is warned of that is over when the uplink has been read.
func TestNoAlarmAtStart(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	behindRouter(t, n)
	station(t, n, "br-1", addr("2001:db8:1:0:f::5"))
	harness.Must(t, n.Node.Route("2001:db8:1:0:f::/80", "", "br-1"))
	for _, args := range [][]string{nil, {"--rule", "uplink=route"}} {
		for range 5 {
			harness.Must(t, harness.Undisturbed(func() error { // uplinks are waited for two seconds
				d := harness.Run(t, n.Node, args...)
				harness.Eventually(t, "line of the log", func() bool { return contains(d.Log(), "configuration loaded") })
				d.Signal(syscall.SIGTERM)
				d.Exit()
				if log := d.Log(); contains(log, `"WARN"`) || contains(log, "level=WARN") || contains(log, `"rules":0`) || contains(log, "rules=0") {
					return fmt.Errorf("with %q:\n%s", args, log)
				}
				return nil
			}))
		}
	}
}

// TestDockerWithoutConfiguration has Docker drop what is drawn by discovered rules.
func TestDockerWithoutConfiguration(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	behindRouter(t, n)
	station(t, n, "br-1", conformance.Pod)
	harness.Must(t, n.Node.Route("2001:db8:1:0:f::/80", "", "br-1"))
	harness.Run(t, n.Node)
	newAsker(t, n).WantAnswer(conformance.Pod)
	if found := check(t, n); len(found) > 0 {
		t.Errorf("before:%s", show(found))
	}
	shell(t, n.Node, "ip6tables -t raw -A PREROUTING -d 2001:db8:1:0:f::/80 -i lo -j ACCEPT; ip6tables -t raw -A PREROUTING -d 2001:db8:1:0:f::/80 ! -i br-1 -j DROP")
	if found := check(t, n); len(found) != 1 || found[0].Reason != "docker_direct_routing" {
		t.Errorf("then:%s", show(found))
	}
}

// TestWithoutPrivilege has a user run check who may see neither a firewall nor IPsec:
// nothing is said of them.
func TestWithoutPrivilege(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	behindRouter(t, n)
	station(t, n, "br-1", conformance.Pod)
	harness.Must(t, n.Node.Route("2001:db8:1:0:f::/80", "", "br-1"))
	shell(t, n.Node, "ip6tables -P FORWARD DROP")
	for uid, want := range map[uint32]bool{0: true, 65534: false} {
		var out bytes.Buffer
		if code := command(t, n, &out, uid, "check", "--interface", harness.Uplink, "--rule", podRoute); code != 0 {
			t.Errorf("user %d: check ends with %d: %s", uid, code, &out)
		}
		if got := contains(out.String(), "ip6 filter FORWARD"); got != want {
			t.Errorf("user %d: said %t:\n%s", uid, got, &out)
		}
	}
}

// advertise sends router advertisements to all nodes of the link until the test ends.
func advertise(t *testing.T, n *harness.Network) {
	t.Helper()
	harness.Must(t, n.Router.Sysctl("net/ipv6/conf/all/forwarding", "1")) // or its answers say that it is no router
	link, err := n.Router.Link.LinkByName(harness.RouterPort)
	harness.Must(t, err)
	zone := strconv.Itoa(link.Attrs().Index) // a name would be looked up in the namespace of some thread
	var conn *icmp.PacketConn
	harness.Eventually(t, "link-local address of the router", func() bool {
		return n.Router.Do(func() (err error) {
			conn, err = icmp.ListenPacket("ip6:ipv6-icmp", conformance.RouterLinkLocal.String()+"%"+zone)
			return err
		}) == nil
	})
	harness.Must(t, conn.IPv6PacketConn().SetMulticastHopLimit(255)) // RFC 4861 §6.1.2
	// RFC 4861 §4.2: a lifetime of 1800 s, and nothing else.
	b, err := (&icmp.Message{Type: ipv6.ICMPTypeRouterAdvertisement, Body: &icmp.RawBody{Data: []byte{64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}}}).Marshal(nil)
	harness.Must(t, err)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			_, _ = conn.WriteTo(b, &net.IPAddr{IP: net.ParseIP("ff02::1"), Zone: zone})
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
		_ = conn.Close()
	})
}

// TestMendForwardingAndAdvertisements has a host that learns its default route from
// router advertisements begin to forward, as check says: the route stays.
func TestMendForwardingAndAdvertisements(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]string{
		"as check says":           "",
		"without accept_ra first": "sysctl -w net.ipv6.conf.all.forwarding=1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			harness.Must(t, n.Router.Address("lo", outsider+"/128"))
			station(t, n, "br-1", conformance.Pod)
			harness.Must(t, n.Node.Route("2001:db8:1:0:f::/80", "", "br-1"))
			shell(t, n.Node, "sysctl -w net.ipv6.conf.all.forwarding=0 net.ipv6.conf.uplink.accept_ra=1")
			advertise(t, n)
			learned := func() bool {
				routes, err := n.Node.Link.RouteList(nil, 10)
				harness.Must(t, err)
				for _, r := range routes {
					if ones, _ := r.Dst.Mask.Size(); ones == 0 && r.Gw != nil {
						return true
					}
				}
				return false
			}
			harness.Eventually(t, "default route", learned)
			if spoil != "" {
				shell(t, n.Node, spoil)
				harness.Eventually(t, "loss of the default route", func() bool { return !learned() })
				mend{reason: "no_return_route", says: []string{"accept_ra=2"}, mend: until(",")}.mended(t, n, conformance.Pod)
				return
			}
			mend{reason: "forwarding_off", says: []string{"net.ipv6.conf.uplink.accept_ra=2 net.ipv6.conf.all.forwarding=1"}}.mended(t, n, conformance.Pod)
			if found := check(t, n, "--interface", harness.Uplink, "--rule", podRoute); len(found) > 0 {
				t.Errorf("then:%s", show(found))
			}
		})
	}
}

// TestMendSettings follows the remedies that are settings of the configuration.
func TestMendSettings(t *testing.T) {
	t.Parallel()
	const rule = "rules: [{prefix: '2001:db8:1:0:f::/80', method: route}]\n"
	for _, tt := range []struct{ name, spoil, before, reason, says, after string }{
		{
			"a chain of nftables drops solicitations", "nft add table netdev f; nft add chain netdev f in '{ type filter hook ingress device uplink priority 0; }'; nft add rule netdev f in icmpv6 type nd-neighbor-solicit drop",
			"{interface: uplink}", "ingress_filter", `"socket: early"`, "{interface: uplink, socket: early}",
		},
		{
			"a port of a bridge", "ip link add br0 address 02:00:00:00:00:02 type bridge; ip link set br0 up; ip link set uplink master br0; ip -6 addr add 2001:db8:1::2/64 dev br0 nodad; ip -6 route replace default via 2001:db8:1::ff dev br0",
			"{interface: uplink}", "bridge_port", "name br0 as the uplink", "{interface: br0}",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			behindRouter(t, n)
			station(t, n, "br-1", conformance.Pod)
			harness.Must(t, n.Node.Route("2001:db8:1:0:f::/80", "", "br-1"))
			shell(t, n.Node, tt.spoil)
			config := func(uplink string) string {
				return harness.PublicConfig(t, "version: 1\nuplinks: ["+uplink+"]\n"+rule)
			}
			d := harness.Start(t, n.Node, "--config", config(tt.before))
			found := named(check(t, n, "--config", config(tt.before)), tt.reason, inspect.Warning)
			if len(found) != 1 || !contains(found[0].Remedy, tt.says) {
				t.Fatalf("got%s", show(found))
			}
			a := newAsker(t, n)
			a.WantSilence(conformance.Pod)
			harness.Must(t, d.Process.Signal(syscall.SIGTERM))
			d.Exit()
			harness.Run(t, n.Node, "--config", config(tt.after))
			a.WantAnswer(conformance.Pod)
			harness.Eventually(t, "ping from beyond the router", func() bool { return tt.reason == "ingress_filter" || pings(t, n.Router, conformance.Pod) })
			if found = check(t, n, "--config", config(tt.after)); len(found) > 0 {
				t.Errorf("then:%s", show(found))
			}
		})
	}
}

// TestMendConflict has another station use an address of a rule: with a deny rule for
// it the finding goes, and the other addresses are answered for.
func TestMendConflict(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	theirs := netip.MustParseAddr("2001:db8:1:0:f::77")
	harness.Must(t, l.host.Address("eth0", theirs.String()+"/64"))
	const head = "version: 1\nuplinks: [{interface: eth0}]\nrules:\n  - {prefix: '2001:db8:1:0:f::/80', method: static}\n"
	path := harness.WriteConfig(t, head)
	d := harness.Run(t, l.node, "--config", path)
	a := harness.NewAsker(t, l.router, "eth0")
	const series = `ndproxyd_misconfiguration{interface="eth0",reason="another_responder"}`
	shown := func(want float64) func() bool {
		return func() bool {
			_, metrics := d.Get("/metrics")
			return metric(t, metrics, series) == want
		}
	}
	pinger, err := l.host.NewPinger(conformance.RouterAddr) // it asks for the router
	harness.Must(t, err)
	defer pinger.Close()
	harness.Eventually(t, "finding", func() bool {
		shell(t, l.host, "ip -6 neigh flush dev eth0")
		_, _ = pinger.Ping(t.Context(), 50*time.Millisecond)
		return shown(1)()
	})
	harness.Rewrite(t, path, head+"  - {prefix: '"+theirs.String()+"', method: deny}\n")
	d.Reload()
	harness.Eventually(t, "end of the finding", shown(0))
	a.WantAnswer(addr("2001:db8:1:0:f::78"))
}
