// SPDX-License-Identifier: Apache-2.0

package firewall_test

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/firewall"
	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/docs"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// load runs commands of nft and ip6tables in a new namespace.
func load(t *testing.T, script string) *lab.Namespace {
	t.Helper()
	n, err := lab.New()
	if err != nil {
		t.Fatalf("this test needs root: %v", err)
	}
	t.Cleanup(n.Close)
	dir := filepath.Join(docs.Root(), ".cache", "netfilter")
	cmd := exec.Command("nsenter", "--net="+n.Path(), "bash", "-ec", script)
	cmd.Env = append(os.Environ(), "PATH="+dir+"/bin:"+os.Getenv("PATH"), "LD_LIBRARY_PATH="+dir+"/lib", "XTABLES_LIBDIR="+dir+"/xtables")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return n
}

func read(t *testing.T, n *lab.Namespace) *firewall.Ruleset {
	t.Helper()
	var set *firewall.Ruleset
	if err := n.Do(func() (err error) {
		set, err = firewall.Read()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	return set
}

// forwarded is a packet from the uplink for an address behind the host.
func forwarded() firewall.Packet {
	return firewall.Packet{
		In: firewall.Device{Name: "eth0", Index: 2}, Out: firewall.Device{Name: "wg0", Index: 7},
		Destination: prefix("2001:db8:1:0:a::5/128"), State: firewall.New, Back: firewall.SameDevice,
	}
}

const chainForward = "add table inet filter; add chain inet filter forward { type filter hook forward priority 0; policy drop; }"

// TestFate takes a packet through rules as the tools make them.
func TestFate(t *testing.T) {
	t.Parallel()
	type changes func(*firewall.Packet)
	nft := func(rules ...string) string {
		script := "nft -f - <<'END'\n"
		for _, r := range rules {
			script += r + "\n"
		}
		return script + "END\n"
	}
	forward := func(rules ...string) string {
		for i, r := range rules {
			rules[i] = "add rule inet filter forward " + r
		}
		return nft(append([]string{chainForward}, rules...)...)
	}
	back := func(b firewall.ReversePath) changes { return func(p *firewall.Packet) { p.Back = b } }
	prerouting := func(rule string) string {
		return nft("add table inet f", "add chain inet f pre { type filter hook prerouting priority 10; }", "add rule inet f pre "+rule)
	}
	tests := []struct {
		name   string
		script string
		change changes
		want   string // the chain that drops it, "" for none
	}{
		{"nothing", "", nil, ""},
		{"a policy", forward(), nil, "inet filter forward"},
		{"a policy, for a packet to the host", forward(), func(p *firewall.Packet) { p.Out = firewall.Device{} }, ""},
		{"a policy of ip6tables", "ip6tables -P FORWARD DROP", nil, "ip6 filter FORWARD"},
		{"a table for IPv4", nft("add table ip f", "add chain ip f forward { type filter hook forward priority 0; policy drop; }"), nil, ""},
		{"a dormant table", nft("add table inet f { flags dormant; }", "add chain inet f forward { type filter hook forward priority 0; policy drop; }"), nil, ""},
		{"all accepted", forward("accept"), nil, ""},
		{"the device accepted", forward(`iifname "eth0" oifname "wg0" accept`), nil, ""},
		{"another device accepted", forward(`iifname "eth1" oifname "wg0" accept`), nil, "inet filter forward"},
		{"devices by pattern", forward(`iifname "eth*" accept`), nil, ""},
		{"devices by another pattern", forward(`iifname "en*" accept`), nil, "inet filter forward"},
		{"devices of a set", forward(`iifname { "eth0", "eth1" } oifname { "wg0" } accept`), nil, ""},
		{"devices of another set", forward(`iifname { "eth2", "eth1" } accept`), nil, "inet filter forward"},
		{"not from devices of a set", forward(`iifname != { "eth0", "eth1" } accept`), nil, "inet filter forward"},
		{"a concatenation", forward(`iifname . oifname { "eth0" . "wg0" } accept`), nil, ""},
		{"established connections only", forward("ct state established,related accept"), nil, "inet filter forward"},
		{"and the packet belongs to one", forward("ct state established,related accept"), func(p *firewall.Packet) { p.State = firewall.Established }, ""},
		{"state is not known", forward("ct state established,related accept"), func(p *firewall.Packet) { p.State = 0 }, ""},
		{"a map of states", forward("ct state vmap { established : accept, invalid : drop }"), nil, "inet filter forward"},
		{"a map that accepts", forward("ct state vmap { established : drop, new : accept }"), nil, ""},
		{"one protocol", forward("meta l4proto tcp accept"), nil, ""},
		{"one port", forward("tcp dport 443 accept"), nil, ""},
		{"echo requests", forward("icmpv6 type echo-request accept"), nil, ""},
		{"IPv6", forward("meta nfproto ipv6 accept"), nil, ""},
		{"IPv4", forward("meta nfproto ipv4 accept"), nil, "inet filter forward"},
		{"an address of IPv4", forward("ip daddr 192.0.2.1 accept"), nil, "inet filter forward"},
		{"the address", forward("ip6 daddr 2001:db8:1:0:a::5 accept"), nil, ""},
		{"another address", forward("ip6 daddr 2001:db8:1:0:a::6 accept"), nil, "inet filter forward"},
		{"its prefix", forward("ip6 daddr 2001:db8:1:0:a::/80 accept"), nil, ""},
		{"a prefix that ends inside of an octet", forward("ip6 daddr 2001:db8:1:0:a::/77 accept"), nil, ""},
		{"another prefix", forward("ip6 daddr 2001:db8:1:0:b::/80 accept"), nil, "inet filter forward"},
		{"part of the prefix", forward("ip6 daddr 2001:db8:1:0:a::5 accept"), func(p *firewall.Packet) { p.Destination = prefix("2001:db8:1:0:a::/112") }, ""},
		{"a range", forward("ip6 daddr 2001:db8:1:0:a::-2001:db8:1:0:a::9 accept"), nil, ""},
		{"another range", forward("ip6 daddr 2001:db8:1:0:a::6-2001:db8:1:0:a::9 accept"), nil, "inet filter forward"},
		{"a set of addresses", forward("ip6 daddr { 2001:db8:1:0:a::5, 2001:db8::/48 } accept"), nil, ""},
		{"another set", forward("ip6 daddr { 2001:db8:1:0:a::6, 2001:db8:2::/48 } accept"), nil, "inet filter forward"},
		{"some sources", forward("ip6 saddr 2001:db8::/48 accept"), nil, ""},
		{"the rate is limited", forward("limit rate 10/second accept"), nil, ""},
		{"a limit by name", nft(chainForward, "add limit inet filter slow { rate 10/second }", "add rule inet filter forward limit name slow accept"), nil, ""},
		{"a counter by name", nft(chainForward, "add counter inet filter every", "add rule inet filter forward counter name every accept"), nil, ""},
		{"a counter by name, and dropped", nft(chainForward, "add chain inet filter forward { policy accept; }", "add counter inet filter every", "add rule inet filter forward counter name every drop"), nil, "inet filter forward"},
		{"a limit by name, and dropped", nft(chainForward, "add chain inet filter forward { policy accept; }", "add limit inet filter slow { rate over 10/second }", "add rule inet filter forward limit name slow drop"), nil, ""},
		{"a mark", forward("meta mark 7 accept"), nil, ""},
		{"packets of IPsec", forward("meta ipsec exists accept"), nil, ""},
		{"a rule that nobody understands", forward("numgen random mod 2 == 0 accept"), nil, ""},
		{"rejected", nft(chainForward, "add chain inet filter forward { policy accept; }", `add rule inet filter forward iifname "eth0" reject`), nil, "inet filter forward"},
		{
			"a chain that accepts", nft("add table inet filter", "add chain inet filter sub", "add rule inet filter sub iifname eth0 counter accept", chainForward, "add rule inet filter forward oifname wg0 jump sub"), nil, "",
		},
		{
			"a chain that drops", nft("add table inet filter", "add chain inet filter sub", "add rule inet filter sub counter drop", chainForward, "add rule inet filter forward oifname wg0 goto sub", "add rule inet filter forward accept"), nil, "inet filter sub",
		},
		{
			"a chain that comes back", nft("add table inet filter", "add chain inet filter sub", "add rule inet filter sub counter return", chainForward, "add rule inet filter forward jump sub", "add rule inet filter forward accept"), nil, "",
		},
		{
			"two base chains, of which the second drops", nft(chainForward, "add rule inet filter forward accept", "add table ip6 other", "add chain ip6 other f { type filter hook forward priority 10; policy drop; }"), nil, "ip6 other f",
		},
		{
			"the destination is translated", nft(chainForward, "add table ip6 nat", "add chain ip6 nat pre { type nat hook prerouting priority -100; }", "add rule ip6 nat pre ip6 daddr 2001:db8:1:0:a::/112 dnat to fd00::5"), nil, "",
		},
		{
			"that of another is", nft(chainForward, "add table ip6 nat", "add chain ip6 nat pre { type nat hook prerouting priority -100; }", "add rule ip6 nat pre ip6 daddr 2001:db8:1:0:b::/112 dnat to fd00::5"), nil, "inet filter forward",
		},
		{"Docker 28, iptables", "ip6tables -t raw -A PREROUTING -d 2001:db8:1:0:a::5 ! -i wg0 -j DROP", nil, "ip6 raw PREROUTING"},
		{"Docker 28, another container", "ip6tables -t raw -A PREROUTING -d 2001:db8:1:0:a::6 ! -i wg0 -j DROP", nil, ""},
		{"Docker 28, a trusted interface", "ip6tables -t raw -A PREROUTING -d 2001:db8:1:0:a::5 -i eth0 -j ACCEPT; ip6tables -t raw -A PREROUTING -d 2001:db8:1:0:a::5 ! -i wg0 -j DROP", nil, ""},
		{
			"Docker 29, nftables", nft("add table ip6 docker-bridges", "add chain ip6 docker-bridges raw-PREROUTING { type filter hook prerouting priority raw; }",
				`add rule ip6 docker-bridges raw-PREROUTING ip6 daddr 2001:db8:1:0:a::5 iifname != "wg0" counter drop comment "DROP DIRECT ACCESS"`), nil, "ip6 docker-bridges raw-PREROUTING",
		},
		{
			"a whole subnet", nft("add table ip6 docker-bridges", "add chain ip6 docker-bridges raw-PREROUTING { type filter hook prerouting priority raw; }",
				`add rule ip6 docker-bridges raw-PREROUTING ip6 daddr 2001:db8:1:0:a::/80 iifname != { "wg0", "lo" } counter drop`), nil, "ip6 docker-bridges raw-PREROUTING",
		},
		{
			"Docker's other bridges", "ip6tables -P FORWARD DROP; ip6tables -N DOCKER-USER; ip6tables -N DOCKER; ip6tables -A FORWARD -j DOCKER-USER; ip6tables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; ip6tables -A FORWARD -o docker0 -j DOCKER; ip6tables -A FORWARD -i docker0 -j ACCEPT; " +
				"ip6tables -t nat -N DOCKER; ip6tables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER; ip6tables -t nat -A DOCKER ! -i docker0 -p tcp --dport 80 -j DNAT --to-destination '[fd00::2]:80'", nil, "ip6 filter FORWARD",
		},
		{"iptables, replies only", "ip6tables -P FORWARD DROP; ip6tables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", nil, "ip6 filter FORWARD"},
		{"iptables, new connections", "ip6tables -P FORWARD DROP; ip6tables -A FORWARD -m conntrack --ctstate NEW -j ACCEPT", nil, ""},
		{"iptables, not invalid ones", "ip6tables -P FORWARD DROP; ip6tables -A FORWARD -m conntrack ! --ctstate INVALID -j ACCEPT", nil, ""},
		{"iptables, a comment", "ip6tables -P FORWARD DROP; ip6tables -A FORWARD -m comment --comment all -j ACCEPT", nil, ""},
		{"iptables, rejected", "ip6tables -A FORWARD -o wg0 -j REJECT", nil, "ip6 filter FORWARD"},
		{"iptables, logged", "ip6tables -P FORWARD DROP; ip6tables -A FORWARD -j MARK --set-mark 1", nil, "ip6 filter FORWARD"},
		{"rpfilter", "ip6tables -t raw -A PREROUTING -m rpfilter --invert -j DROP", back(firewall.NoRoute), "ip6 raw PREROUTING"},
		{"rpfilter, another way back", "ip6tables -t raw -A PREROUTING -m rpfilter --invert -j DROP", back(firewall.OtherDevice), "ip6 raw PREROUTING"},
		{"rpfilter, loose", "ip6tables -t raw -A PREROUTING -m rpfilter --loose --invert -j DROP", back(firewall.OtherDevice), ""},
		{"rpfilter, the same way back", "ip6tables -t raw -A PREROUTING -m rpfilter --invert -j DROP", nil, ""},
		{"rpfilter, nobody knows", "ip6tables -t raw -A PREROUTING -m rpfilter --invert -j DROP", back(firewall.Unknown), ""},
		{"firewalld", prerouting("meta nfproto ipv6 fib saddr . mark . iif oif missing drop"), back(firewall.NoRoute), "inet f pre"},
		{"firewalld, another way back", prerouting("meta nfproto ipv6 fib saddr . mark . iif oif missing drop"), back(firewall.OtherDevice), "inet f pre"},
		{"firewalld, the same way back", prerouting("meta nfproto ipv6 fib saddr . mark . iif oif missing drop"), nil, ""},
		{"firewalld, loose", prerouting("meta nfproto ipv6 fib saddr . mark oif missing drop"), back(firewall.OtherDevice), ""},
		{"firewalld, loose and no route", prerouting("meta nfproto ipv6 fib saddr . mark oif missing drop"), back(firewall.NoRoute), "inet f pre"},
		{"not to the host", prerouting("fib daddr type != local drop"), nil, "inet f pre"},
		{"an exception for neighbor discovery", prerouting("icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept; add rule inet f pre iifname eth0 drop"), nil, "inet f pre"},
		{"an exception for neighbor discovery, ip6tables", "ip6tables -t raw -A PREROUTING -p ipv6-icmp --icmpv6-type neighbor-solicitation -j ACCEPT; ip6tables -t raw -A PREROUTING -i eth0 -j DROP", nil, "ip6 raw PREROUTING"},
		{"echo requests, ip6tables", "ip6tables -P FORWARD DROP; ip6tables -A FORWARD -p ipv6-icmp --icmpv6-type echo-request -j ACCEPT", nil, ""},
		{"one port, ip6tables", "ip6tables -P FORWARD DROP; ip6tables -A FORWARD -p tcp --dport 22 -j ACCEPT", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := forwarded()
			if tt.change != nil {
				tt.change(&p)
			}
			fate, err := read(t, load(t, tt.script)).Fate(p)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if fate.Dropped {
				got = fate.Drop.String()
			}
			if got != tt.want {
				t.Errorf("dropped by %q, want %q", got, tt.want)
			}
		})
	}
}

// TestDrop has what a finding says of the rule.
func TestDrop(t *testing.T) {
	t.Parallel()
	set := read(t, load(t, "ip6tables -t raw -A PREROUTING -d 2001:db8:1:0:a::5 ! -i br-1 -j DROP; ip6tables -t raw -A PREROUTING -d 2001:db8:2::/48 -m rpfilter --invert -j DROP; ip6tables -N DOCKER-USER"))
	fate, err := set.Fate(forwarded())
	if d := fate.Drop; err != nil || d.Hook != "prerouting" || !d.Raw || d.Policy || d.ReversePath || !slices.Equal(d.Except, []string{"br-1"}) {
		t.Errorf("%+v, %v", fate, err)
	}
	if got, want := set.Destinations(), []netip.Prefix{prefix("2001:db8:1:0:a::5/128"), prefix("2001:db8:2::/48")}; !slices.Equal(got, want) {
		t.Errorf("destinations are %s", got)
	}
	p := forwarded()
	p.Destination, p.Back = prefix("2001:db8:2::/64"), firewall.NoRoute
	if fate, err := set.Fate(p); err != nil || !fate.Drop.ReversePath {
		t.Errorf("%+v, %v", fate, err)
	}
	if !set.Chain("filter", "DOCKER-USER") || set.Chain("filter", "DOCKER") {
		t.Error("chains are not known")
	}
}

// TestTranslated has what changes a packet's destination.
func TestTranslated(t *testing.T) {
	t.Parallel()
	const table = "nft add table ip6 n; nft add chain ip6 n pre '{ type filter hook prerouting priority mangle; }'; nft add chain ip6 n nat '{ type nat hook prerouting priority dstnat; }'; "
	for name, tt := range map[string]struct {
		script string
		want   bool
	}{
		"nothing":                     {"", false},
		"prefix translation":          {table + "nft add rule ip6 n nat ip6 daddr 2001:db8:1:0:a::/80 dnat prefix to fd00:0:0:0:a::/80", true},
		"of another prefix":           {table + "nft add rule ip6 n nat ip6 daddr 2001:db8:1:0:b::/80 dnat prefix to fd00:0:0:0:a::/80", false},
		"one port":                    {table + "nft add rule ip6 n nat tcp dport 80 dnat to '[fd00::1]:8080'", true},
		"without state":               {table + "nft add rule ip6 n pre ip6 daddr 2001:db8:1:0:a::5 ip6 daddr set fd00::5", true},
		"a transparent proxy":         {table + "nft add rule ip6 n pre meta l4proto tcp tproxy to :8080", true},
		"a redirection":               {table + "nft add rule ip6 n nat tcp dport 80 redirect to :8080", true},
		"the source":                  {"nft add table ip6 n; nft add chain ip6 n post '{ type nat hook postrouting priority srcnat; }'; nft add rule ip6 n post masquerade", false},
		"ip6tables NETMAP":            {"ip6tables -t nat -A PREROUTING -d 2001:db8:1:0:a::/80 -j NETMAP --to fd00:0:0:0:a::/80", true},
		"ip6tables DNPT":              {"ip6tables -t mangle -A PREROUTING -d 2001:db8:1:0:a::/80 -j DNPT --src-pfx 2001:db8:1:0::/64 --dst-pfx fd00::/64", true},
		"ip6tables, another device":   {"ip6tables -t nat -A PREROUTING -i eth1 -d 2001:db8:1:0:a::/80 -j NETMAP --to fd00:0:0:0:a::/80", false},
		"ip6tables, what was made so": {"ip6tables -t nat -A POSTROUTING -s fd00::/64 -j NETMAP --to 2001:db8:1:0::/64", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fate, err := read(t, load(t, tt.script)).Fate(forwarded())
			if err != nil || fate.Translated != tt.want || fate.Dropped {
				t.Errorf("%+v, %v", fate, err)
			}
		})
	}
}
