// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

var comparePrefixes = cmp.Options{
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmpopts.IgnoreUnexported(config.Config{}),
}

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := config.Parse("config.yaml", []byte(`
version: 1
uplinks:
  - interface: eth0
  - interface: eth1
    source: target
    membership: join
    router: true
    socket: early
    require_onlink_source: true
    ignore_sources: [2001:db8:bad::/48, 2001:db8::bad, "02:00:00:00:00:99"]
    limit_per_asker: 2000
    gratuitous: routers
    reannounce: 2m
    prime: dad
    fast_path: xdp-generic
    fast_path_hold: 90s
rules:
  - prefix: 2001:db8:1::/64
    method: static
    uplinks: [eth0]
    delay: 500ms
    dad: ignore
  - {prefix: "2001:db8:1::5", method: deny, uplinks: [eth0, eth1]}
  - {prefix: "2001:db8:3::/64", method: route, devices: [wg0, lo], own_addresses: false, table: main}
  - {prefix: "2001:db8:5::/64", method: probe, table: 5200}
  - {prefix: "2001:db8:2::/64", method: probe, devices: [tun0], timeout: 200ms, ttl: 60s, deadtime: 1s, retries: 0}
  - {prefix: "2001:db8:4::/64", method: file, targets: /etc/ndproxyd//targets}
devices:
  - {name: wg0, leads: behind}
  - {name: "vpn-*", leads: elsewhere}
  - {kind: vxlan, leads: on-link}
metrics:
  listen: "[::]:9000"
fast_path_directory: /run/bpf//ndproxyd/
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Uplinks: []rules.Uplink{
			{Interface: "eth0"},
			{
				Interface: "eth1", Source: rules.SourceTarget, Membership: rules.MembershipJoin,
				Router: rules.RouterTrue, Early: true, RequireOnLinkSource: true, LimitPerAsker: 2000,
				Gratuitous: rules.GratuitousRouters, Prime: rules.PrimeDAD, Reannounce: 2 * time.Minute,
				FastPath: rules.FastPathXDPGeneric, FastPathHold: 90 * time.Second,
				IgnoreSources: []rules.Asker{
					{Prefix: netip.MustParsePrefix("2001:db8:bad::/48")}, {Prefix: netip.MustParsePrefix("2001:db8::bad/128")},
					{MAC: [6]byte{2, 0, 0, 0, 0, 0x99}},
				},
			},
		},
		Rules: []rules.Rule{
			{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Method: rules.Static, Uplinks: []string{"eth0"}, Delay: 500 * time.Millisecond, DAD: rules.DADIgnore},
			{Prefix: netip.MustParsePrefix("2001:db8:1::5/128"), Method: rules.Deny, Uplinks: []string{"eth0", "eth1"}},
			{Prefix: netip.MustParsePrefix("2001:db8:3::/64"), Method: rules.Route, Devices: []string{"wg0", "lo"}, IgnoreOwn: true, Table: 254},
			{Prefix: netip.MustParsePrefix("2001:db8:5::/64"), Method: rules.Probe, Table: 5200},
			{
				Prefix: netip.MustParsePrefix("2001:db8:2::/64"), Method: rules.Probe, Devices: []string{"tun0"},
				Timing: rules.Timing{Timeout: 200 * time.Millisecond, TTL: time.Minute, Deadtime: time.Second, Retries: -1},
			},
			{Prefix: netip.MustParsePrefix("2001:db8:4::/64"), Method: rules.File, Targets: "/etc/ndproxyd/targets"},
		},
		Devices: []rules.DeviceSetting{
			{Name: "wg0"}, {Name: "vpn-*", Leads: rules.LeadsElsewhere}, {Kind: "vxlan", Leads: rules.LeadsOnLink},
		},
		Metrics:           config.Endpoint{Listen: "[::]:9000"},
		FastPathDirectory: "/run/bpf/ndproxyd",
	}
	if d := cmp.Diff(want, got, comparePrefixes); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// head is a valid beginning of four lines.
const head = "version: 1\nuplinks:\n  - interface: eth0\nrules:\n"

func TestParseErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     []string
	}{
		{"empty", "", []string{`c.yaml:1:1: the file is empty: begin with "version: 1"`}},
		{"only a comment", "# nothing\n", []string{`c.yaml:1:1: the file is empty`}},
		{"not YAML", "version: [1\n", []string{`c.yaml:1:1: not valid YAML: `}},
		{"tab", "version: 1\nrules:\n\t- a\n", []string{`c.yaml:3:1: not valid YAML: found character that cannot start any token`}},
		{"two documents", "version: 1\nuplinks: [{interface: eth0}]\nrules: []\n---\nrules: [{method: nonsense}]\n", []string{`c.yaml:4:1: a second document begins here`}},
		{"garbage behind the document", "version: 1\nuplinks: [{interface: eth0}]\nrules: []\n---\n[\n", []string{`not valid YAML`}},
		{"word for the uplinks of a rule", head + "  - {prefix: 2001:db8::/64, method: static, uplinks: eth0}\n", []string{`rules[0].uplinks: is "eth0", want a list`}},
		{"a list", "- 1\n", []string{`c.yaml:1:1: is a list, want a mapping with keys like "version:"`}},
		{"no version", "uplinks: [{interface: eth0}]\nrules: []\n", []string{`c.yaml:1:1: the key "version" is missing: write "version: 1"`}},
		{"another version", "version: 2\nuplinks: [{interface: eth0}]\nrules: []\n", []string{`c.yaml:1:10: version: "2" is not a version that this program knows: write 1`}},
		{"unknown key", head + "  - {prefix: 2001:db8::/64, methd: static}\n", []string{
			`c.yaml:5:29: rules[0]: unknown key "methd" (did you mean "method"?); known keys: prefix, method, uplinks, devices, kinds, own_addresses, table, targets, autowire, timeout, ttl, deadtime, retries, delay, while, dad`,
		}},
		{"unknown key at the top", head + "  - {prefix: 2001:db8::/64, method: static}\nuplink: eth0\n", []string{`c.yaml:6:1: unknown key "uplink" (did you mean "uplinks"?)`}},
		{"unlike any key", head + "  - {prefix: 2001:db8::/64, method: static}\nzzzzzz: 1\n", []string{`c.yaml:6:1: unknown key "zzzzzz"; known keys: version, uplinks, rules, devices, kubernetes, metrics, health, fast_path_directory`}},
		{"doubled key", "version: 1\nversion: 1\nuplinks: [{interface: eth0}]\nrules: []\n", []string{`c.yaml:2:1: key "version" is already on line 1: remove one`}},
		{"host bits", head + "  - {prefix: 2001:db8::1/80, method: static}\n", []string{`c.yaml:5:14: rules[0].prefix: "2001:db8::1/80" has host bits set (did you mean "2001:db8::/80"?)`}},
		{"IPv4", head + "  - {prefix: 192.0.2.0/24, method: static}\n", []string{`c.yaml:5:14: rules[0].prefix: "192.0.2.0/24" is IPv4`}},
		{"no prefix", head + "  - {method: static}\n", []string{`c.yaml:5:5: rules[0]: the key "prefix" is missing`}},
		{"no method", head + "  - {prefix: 2001:db8::/64}\n", []string{`c.yaml:5:5: rules[0]: the key "method" is missing: one of ` + strings.Join(rules.MethodNames(), ", ")}},
		{"unknown method", head + "  - {prefix: 2001:db8::/64, method: sttic}\n", []string{`c.yaml:5:37: rules[0].method: method "sttic" is not one of ` + strings.Join(rules.MethodNames(), ", ") + ` (did you mean "static"?)`}},
		{"empty value", head + "  - prefix:\n    method: static\n", []string{`rules[0].prefix: is empty, want a word`}},
		{"list for a word", head + "  - {prefix: [a], method: static}\n", []string{`c.yaml:5:14: rules[0].prefix: is a list, want a word`}},
		{"word for a list", "version: 1\nuplinks: eth0\nrules: []\n", []string{`c.yaml:2:10: uplinks: is "eth0", want a list (lines that start with "- ")`}},
		{"no uplinks", "version: 1\nuplinks: []\nrules: []\n", []string{`c.yaml:2:10: uplinks: the list is empty: name the interface`}},
		{"uplink without interface", "version: 1\nuplinks: [{source: auto}]\nrules: []\n", []string{`c.yaml:2:11: uplinks[0]: the key "interface" is missing`}},
		{"loopback", "version: 1\nuplinks: [{interface: lo}]\nrules: []\n", []string{`c.yaml:2:23: uplinks[0].interface: "lo" is the loopback interface`}},
		{"long name", "version: 1\nuplinks: [{interface: a234567890123456}]\nrules: []\n", []string{`is longer than the 15 octets of an interface name`}},
		{"path as name", "version: 1\nuplinks: [{interface: ../x}]\nrules: []\n", []string{`"../x" is not the name of an interface`}},
		{"uplink twice", "version: 1\nuplinks: [{interface: eth0}, {interface: eth0}]\nrules: []\n", []string{`c.yaml:2:42: uplinks[1].interface: "eth0" is already uplinks[0]`}},
		{"source", "version: 1\nuplinks: [{interface: eth0, source: linklocal}]\nrules: []\n", []string{`uplinks[0].source: "linklocal" is not one of auto, link-local, target (did you mean "link-local"?)`}},
		{"membership", "version: 1\nuplinks: [{interface: eth0, membership: mld}]\nrules: []\n", []string{`uplinks[0].membership: "mld" is not one of auto, join, allmulti, none`}},
		{"router", "version: 1\nuplinks: [{interface: eth0, router: yes}]\nrules: []\n", []string{`uplinks[0].router: "yes" is not one of auto, true, false`}},
		{"socket", "version: 1\nuplinks: [{interface: eth0, socket: erly}]\nrules: []\n", []string{`uplinks[0].socket: "erly" is not one of normal, early (did you mean "early"?)`}},
		{"short reannounce", "version: 1\nuplinks: [{interface: eth0, reannounce: 9s}]\nrules: []\n", []string{`c.yaml:2:41: uplinks[0].reannounce: 9s is outside 10s to 24h0m0s, and not 0s, which turns it off`}},
		{"long reannounce", "version: 1\nuplinks: [{interface: eth0, reannounce: 25h}]\nrules: []\n", []string{`uplinks[0].reannounce: 25h0m0s is outside 10s to 24h0m0s`}},
		{"negative reannounce", "version: 1\nuplinks: [{interface: eth0, reannounce: -1m}]\nrules: []\n", []string{`uplinks[0].reannounce: -1m0s is outside 10s to 24h0m0s`}},
		{"reannounce without unit", "version: 1\nuplinks: [{interface: eth0, reannounce: 120}]\nrules: []\n", []string{`uplinks[0].reannounce: "120" is not a duration`}},
		{"reannounce without announcements", "version: 1\nuplinks: [{reannounce: 1m, interface: eth0, gratuitous: none}]\nrules: []\n", []string{`c.yaml:2:24: uplinks[0].reannounce: "gratuitous: none" announces nothing: remove one of the two keys`}},
		{"ignored source", "version: 1\nuplinks: [{interface: eth0, ignore_sources: [x, 192.0.2.1, 2001:db8::1/64]}]\nrules: []\n", []string{
			`uplinks[0].ignore_sources[0]: "x" is neither an IPv6 prefix nor a MAC address`,
			`uplinks[0].ignore_sources[1]: "192.0.2.1" is neither`,
			`uplinks[0].ignore_sources[2]: "2001:db8::1/64" has host bits set (did you mean "2001:db8::/64"?)`,
		}},
		{"limit", "version: 1\nuplinks: [{interface: eth0, limit_per_asker: -1}]\nrules: []\n", []string{`uplinks[0].limit_per_asker: "-1" is not a number of answers a second`}},
		{"boolean", "version: 1\nuplinks: [{interface: eth0, require_onlink_source: 1}]\nrules: []\n", []string{`"1" is neither true nor false`}},
		{"unknown uplink of a rule", head + "  - {prefix: 2001:db8::/64, method: static, uplinks: [eth1]}\n", []string{`c.yaml:5:55: rules[0].uplinks[0]: "eth1" is not the interface of an uplink (did you mean "eth0"?)`}},
		{"empty uplinks of a rule", head + "  - {prefix: 2001:db8::/64, method: static, uplinks: []}\n", []string{`rules[0].uplinks: the list is empty: leave the key out for all uplinks`}},
		{"delay", head + "  - {prefix: 2001:db8::/64, method: static, delay: 2s}\n", []string{`rules[0].delay: 2s is outside 0s to 1s`}},
		{"delay without unit", head + "  - {prefix: 2001:db8::/64, method: static, delay: 5}\n", []string{`rules[0].delay: "5" is not a duration (examples: 500ms, 1s)`}},
		{"dad", head + "  - {prefix: 2001:db8::/64, method: static, dad: no}\n", []string{`rules[0].dad: "no" is not one of defend, ignore`}},
		{"devices of another method", head + "  - {prefix: 2001:db8::/64, method: static, devices: [br0]}\n", []string{`c.yaml:5:5: rules[0]: devices go with the methods route and probe only`}},
		{"autowire of another method", head + "  - {prefix: 2001:db8::/64, method: route, devices: [br0], autowire: true}\n", []string{`c.yaml:5:5: rules[0]: autowire goes with the method probe only`}},
		{"kinds of another method", head + "  - {prefix: 2001:db8::/64, method: pods, kinds: [cluster-ip]}\n", []string{`c.yaml:5:5: rules[0]: kinds go with the method services only`}},
		{"a kind that is none", head + "  - {prefix: 2001:db8::/64, method: services, kinds: [clusterip]}\n", []string{`c.yaml:5:55: rules[0].kinds[0]: "clusterip" is not one of cluster-ip, load-balancer, external-ip (did you mean "cluster-ip"?)`}},
		{"no kinds", head + "  - {prefix: 2001:db8::/64, method: services, kinds: []}\n", []string{`c.yaml:5:54: rules[0].kinds: the list is empty: leave the key out for the default`}},
		{"own addresses of another method", head + "  - {prefix: 2001:db8::/64, method: static, own_addresses: false}\n", []string{`c.yaml:5:5: rules[0]: own_addresses goes with the methods route and probe only`}},
		{"table of another method", head + "  - {prefix: 2001:db8::/64, method: static, table: 100}\n", []string{`c.yaml:5:5: rules[0]: table goes with the methods route and probe only`}},
		{"table without a name", head + "  - {prefix: 2001:db8::/64, method: route, table: mian}\n", []string{`c.yaml:5:51: rules[0].table: "mian" is neither a number from 1 to 4294967295 nor the name of a routing table in /etc/iproute2/rt_tables (did you mean "main"?)`}},
		{"table 0", head + "  - {prefix: 2001:db8::/64, method: route, table: 0}\n", []string{`c.yaml:5:51: rules[0].table: "0" is neither a number`}},
		{"own addresses of a word", head + "  - {prefix: 2001:db8::/64, method: route, own_addresses: never}\n", []string{`c.yaml:5:59: rules[0].own_addresses: "never" is neither true nor false`}},
		{"file without targets", head + "  - {prefix: 2001:db8::/64, method: file}\n", []string{`c.yaml:5:5: rules[0]: the method file needs targets: the path of a file that lists them`}},
		{"targets of another method", head + "  - {prefix: 2001:db8::/64, method: static, targets: /etc/x}\n", []string{`c.yaml:5:5: rules[0]: targets go with the method file only`}},
		{"relative targets", head + "  - {prefix: 2001:db8::/64, method: file, targets: targets.txt}\n", []string{`c.yaml:5:52: rules[0].targets: "targets.txt" is not an absolute path (example: "/etc/ndproxyd/targets")`}},
		{"device without a name", "version: 1\ndevices:\n  - leads: behind\n", []string{`c.yaml:3:5: devices[0]: write one of the keys "name" and "kind"`}},
		{"device with a name and a kind", "version: 1\ndevices:\n  - {name: wg0, kind: wireguard, leads: behind}\n", []string{`c.yaml:3:5: devices[0]: write one of the keys "name" and "kind"`}},
		{"device that leads nowhere", "version: 1\ndevices:\n  - name: wg0\n", []string{`c.yaml:3:5: devices[0]: the key "leads" is missing: one of behind, elsewhere, on-link`}},
		{"device that leads astray", "version: 1\ndevices:\n  - {name: wg0, leads: behnd}\n", []string{`c.yaml:3:24: devices[0].leads: "behnd" is not one of behind, elsewhere, on-link (did you mean "behind"?)`}},
		{"device that is no name", "version: 1\ndevices:\n  - {name: a/b, leads: behind}\n", []string{`c.yaml:3:12: devices[0].name: "a/b" is not the name of an interface`}},
		{"device with a star inside", "version: 1\ndevices:\n  - {name: \"w*g\", leads: behind}\n", []string{`c.yaml:3:12: devices[0].name: "w*g" has a "*" that is not at its end`}},
		{"device of no kind", "version: 1\ndevices:\n  - {kind: wire guard, leads: behind}\n", []string{`c.yaml:3:12: devices[0].kind: "wire guard" is not a kind of devices: "ip -d link" shows them, such as wireguard or vxlan`}},
		{"device twice", "version: 1\ndevices:\n  - {name: wg0, leads: behind}\n  - {name: wg0, leads: elsewhere}\n", []string{`c.yaml:4:12: devices[1].name: "wg0" is already on line 3: remove one`}},
		{"timeout of zero", head + "  - {prefix: 2001:db8::/64, method: probe, timeout: 0s}\n", []string{`c.yaml:5:53: rules[0].timeout: 0s is outside 10ms to 2s: leave the key out for the default`}},
		{"ttl of zero", head + "  - {prefix: 2001:db8::/64, method: probe, ttl: 0s}\n", []string{`rules[0].ttl: 0s is outside 1s to 1h0m0s: leave the key out for the default`}},
		{"ndppd.conf", "proxy eth0 {\n  rule 2001:db8::/64 {\n    auto\n  }\n}\n", []string{`c.yaml:1:1: this looks like an ndppd.conf: give it a name that ends in .conf, or make YAML of it with "ndproxyd convert FILE"`}},
		{"ndppd.conf with a comment and tabs", "# proxies\n\tproxy eth0 {\n\trule 2001:db8::/64 { static }\n}\n", []string{`this looks like an ndppd.conf`}},
		{"long deadtime", head + "  - {prefix: 2001:db8::/64, method: probe, deadtime: 30s}\n", []string{`rules[0]: deadtime 30s is outside 0s to 3s`}},
		{"retries", head + "  - {prefix: 2001:db8::/64, method: probe, retries: many}\n", []string{`rules[0].retries: "many" is not a number of retries, 0 to 10`}},
		{"rule twice", head + "  - {prefix: 2001:db8::/64, method: static}\n  - {prefix: 2001:db8::/64, method: deny}\n", []string{`c.yaml:6:14: rules[1].prefix: 2001:db8::/64 is already the prefix of the rule on line 5`}},
		{"while without a condition", head + "  - {prefix: 2001:db8::/64, method: static, while: {}}\n", []string{`c.yaml:5:52: rules[0].while: the conditions are missing`}},
		{"while as a word", head + "  - {prefix: 2001:db8::/64, method: static, while: 2001:db8::5}\n", []string{`c.yaml:5:52: rules[0].while: is "2001:db8::5", want a mapping with keys like "address:"`}},
		{"while with another key", head + "  - {prefix: 2001:db8::/64, method: static, while: {adddress: '2001:db8::5'}}\n", []string{`rules[0].while: unknown key "adddress" (did you mean "address"?); known keys: address, interface`}},
		{"while with a prefix", head + "  - {prefix: 2001:db8::/64, method: static, while: {address: '2001:db8::5/64'}}\n", []string{`c.yaml:5:62: rules[0].while.address: "2001:db8::5/64" has a length: the condition is one address (did you mean "2001:db8::5"?)`}},
		{"while with IPv4", head + "  - {prefix: 2001:db8::/64, method: static, while: {address: 192.0.2.5}}\n", []string{`rules[0].while.address: "192.0.2.5" is IPv4`}},
		{"while with the loopback interface", head + "  - {prefix: 2001:db8::/64, method: static, while: {interface: lo}}\n", []string{`rules[0].while.interface: "lo" is up on every host`}},
		{"while of a deny rule", head + "  - {prefix: 2001:db8::/64, method: deny, while: {interface: wg0}}\n", []string{`c.yaml:5:5: rules[0]: while goes with a method that answers`}},
		{"template", head + "  - {prefix: uplink/64:f::1/80, method: static}\n", []string{`c.yaml:5:14: rules[0].prefix: "uplink/64:f::1/80": it has host bits set (did you mean "uplink/64:f::/80"?)`}},
		{"template without a length", head + "  - prefix: uplink:f::/80\n    method: static\n", []string{`c.yaml:5:13: rules[0].prefix: "uplink:f::/80" does not say how many bits of the uplink's prefix come first (did you mean "uplink/64:f::/80"?)`}},
		{"template with a loose colon", head + "  - {prefix: 'uplink/64:', method: static}\n", []string{`c.yaml:5:14: rules[0].prefix: "uplink/64:" has a colon that nothing follows (did you mean "uplink/64"?)`}},
		{"template with a loose colon before a length", head + "  - {prefix: 'uplink/64:/80', method: static}\n", []string{`did you mean "uplink/64::/80"?`}},
		{"template with a loose colon behind a group", head + "  - {prefix: 'uplink/64:f:', method: static}\n", []string{`did you mean "uplink/64:f::/80" or "uplink/64::f"?`}},
		{"misspelled template", head + "  - {prefix: uplnik/64:f::/80, method: static}\n", []string{`c.yaml:5:14: rules[0].prefix: "uplnik/64:f::/80" is not an IPv6 prefix (example: "2001:db8:1::/64") (did you mean "uplink/64:f::/80"?)`}},
		{"template twice", head + "  - {prefix: uplink, method: static}\n  - {prefix: uplink, method: deny, uplinks: [eth0]}\n", []string{`c.yaml:6:14: rules[1].prefix: uplink is already the prefix of the rule on line 5`}},
		{"listen", head + "  - {prefix: 2001:db8::/64, method: static}\nmetrics: {listen: 9972}\n", []string{`metrics.listen: "9972" is not an address with a port (example: "[::1]:9972")`}},
		{"listen port", head + "  - {prefix: 2001:db8::/64, method: static}\nmetrics: {listen: '[::1]:99999'}\n", []string{`"99999" is not a port number`}},
		{"health listen", head + "  - {prefix: 2001:db8::/64, method: static}\nhealth: {listen: 9972}\n", []string{`health.listen: "9972" is not an address with a port`}},
		{"authentication", head + "  - {prefix: 2001:db8::/64, method: static}\nmetrics: {authentication: kubernetis}\n", []string{`c.yaml:6:27: metrics.authentication: "kubernetis" is not one of none, kubernetes (did you mean "kubernetes"?)`}},
		{"web config", head + "  - {prefix: 2001:db8::/64, method: static}\nmetrics: {web_config: /nonexistent/web.yaml}\n", []string{`c.yaml:6:23: metrics.web_config: open /nonexistent/web.yaml: no such file`}},
		{"listen host", head + "  - {prefix: 2001:db8::/64, method: static}\nmetrics: {listen: 'localhost:9972'}\n", []string{`"localhost" is not an IP address`}},
		{"all at once, in order", "version: 3\nuplinks: [{interface: lo}]\nrules:\n  - {prefix: nonsense, method: static}\n  - {prefix: 2001:db8::/64, method: what}\n", []string{
			`c.yaml:1:10: version:`, `c.yaml:2:23: uplinks[0].interface:`, `c.yaml:4:14: rules[0].prefix:`, `c.yaml:5:37: rules[1].method:`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse("c.yaml", []byte(tt.in))
			var faults config.Errors
			if !errors.As(err, &faults) {
				t.Fatalf("error is %v", err)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("%d faults, want %d:\n%v", len(lines), len(tt.want), err)
			}
			for i, want := range tt.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("fault %d is\n%s\nwant\n%s", i, lines[i], want)
				}
			}
		})
	}
}
