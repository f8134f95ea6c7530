// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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

// TestWhile reads the conditions of rules.
func TestWhile(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("c.yaml", []byte(head+"  - {prefix: 2001:db8::/64, method: static, while: {address: '2001:db8::5', interface: wg0}}\n  - {prefix: 2001:db8:1::/64, method: route, while: {address: 'fe80::5'}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"the host has 2001:db8::5 and wg0 is up", "the host has fe80::5"} {
		if got := c.Rules[i].While.String(); got != want {
			t.Errorf("rule %d holds while %s, want %s", i, got, want)
		}
	}
}

// TestTemplate reads rules for prefixes of the uplink, from a file and from flags.
func TestTemplate(t *testing.T) {
	t.Parallel()
	file, err := config.Parse("c.yaml", []byte(head+"  - {prefix: uplink, method: route}\n  - {prefix: 'uplink/64:f::/80', method: static}\n"))
	if err != nil {
		t.Fatal(err)
	}
	flags, err := config.FromFlags([]string{"eth0"}, []string{"uplink=route", "uplink/64:f::/80=static"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*config.Config{file, flags} {
		if len(c.Rules) != 2 || c.Rules[0].String() != "uplink=route" || c.Rules[1].String() != "uplink/64:f::/80=static" {
			t.Errorf("rules are %v", c.Rules)
		}
	}
	for arg, want := range map[string]string{
		"uplink/64:f::/60=static": "is not a part of the uplink's /64",
		"uplnk=static":            `did you mean "uplink"?`,
		"Uplink/64=static":        `did you mean "uplink/64"?`,
	} {
		if _, err := config.FromFlags(nil, []string{arg}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	if _, err := config.FromFlags(nil, []string{"uplink=static", "uplink=deny"}); err == nil || !strings.Contains(err.Error(), "uplink is given twice") {
		t.Errorf("two rules with one prefix: %v", err)
	}
}

// TestStrayUplinks names uplinks in rules, without a list of uplinks.
func TestStrayUplinks(t *testing.T) {
	t.Parallel()
	const in = "version: 1\nrules:\n  - {prefix: 2001:db8::/64, method: route, uplinks: [eth0]}\n  - {prefix: 2001:db8:1::/64, method: route, uplinks: [eth0, eht1]}\n"
	c, err := config.Parse("c.yaml", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		uplinks []string
		want    string
	}{
		{"all are uplinks", []string{"eth0", "eht1"}, ""},
		{"a typing error", []string{"eth0", "eth1"}, `c.yaml:4:62: rules[1].uplinks[1]: "eht1" is no uplink, so the rule does not hold there: no IPv6 default route leaves by it (did you mean "eth1"?)`},
		{"one uplink", []string{"eth0"}, `c.yaml:4:62: rules[1].uplinks[1]: "eht1" is no uplink, so the rule does not hold there: no IPv6 default route leaves by it (did you mean "eth0"?)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := c.StrayUplinks(tt.uplinks).Error(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	if got := c.StrayUplinks(nil); len(got) != 3 {
		t.Errorf("without uplinks: %v", got)
	}
	if listed, err := config.Parse("c.yaml", []byte(head+"  - {prefix: 2001:db8::/64, method: route, uplinks: [eth0]}\n")); err != nil || listed.StrayUplinks(nil) != nil {
		t.Errorf("with a list of uplinks: %v, %v", listed.StrayUplinks(nil), err)
	}
}

// TestEmptyRules warns of a file by which nothing is answered.
func TestEmptyRules(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"version: 1\nrules: []\n": true,
		"version: 1\n":            false,
		head + "  - {prefix: 2001:db8::/64, method: route}\n": false,
	} {
		c, err := config.Parse("c.yaml", []byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Complete(config.Host{Getenv: func(string) string { return "" }}); err != nil {
			t.Fatal(err)
		}
		if got := len(c.Warnings) == 1 && strings.Contains(c.Warnings[0], "rules is an empty list"); got != want {
			t.Errorf("%q: warnings are %q", in, c.Warnings)
		}
	}
}

// TestLongValues wants a few hundred octets of a value of a million, wherever it
// stands.
func TestLongValues(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 500_000)
	rule := func(s string) string { return head + "  - " + s + "\n" }
	for name, in := range map[string]string{
		"prefix":    rule("{prefix: " + long + ", method: static}"),
		"method":    rule("{prefix: 2001:db8::/64, method: " + long + "}"),
		"key":       rule("{" + long + ": 2001:db8::/64}"),
		"duration":  rule("{prefix: 2001:db8::/64, method: probe, timeout: " + long + "}"),
		"boolean":   rule("{prefix: 2001:db8::/64, method: probe, autowire: " + long + "}"),
		"number":    rule("{prefix: 2001:db8::/64, method: probe, retries: " + long + "}"),
		"uplink":    rule("{prefix: 2001:db8::/64, method: probe, uplinks: [" + long + "]}"),
		"device":    rule("{prefix: 2001:db8::/64, method: probe, devices: [" + long + "]}"),
		"interface": "version: 1\nuplinks: [{interface: " + long + "}]\n",
		"asker":     "version: 1\nuplinks: [{interface: eth0, ignore_sources: [" + long + "]}]\n",
		"list":      "version: 1\nuplinks: " + long + "\n",
		"version":   "version: " + long + "\n",
		"anchor":    "version: *" + strings.Repeat("a", 1_000_000) + "\n",
		"selector":  "version: 1\nkubernetes: {services: {selector: \"=" + long + "\"}}\n",
		"listen":    "version: 1\nmetrics: {listen: \"" + long + "\"}\n",
		"document":  long,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse("c.yaml", []byte(in))
			if err == nil {
				t.Fatal("no error")
			}
			if n := len(err.Error()); n > 3000 {
				t.Errorf("%d octets: %.200s", n, err)
			}
		})
	}
	t.Run("ndppd.conf", func(t *testing.T) {
		t.Parallel()
		ascii := strings.Repeat("x", 1_000_000)
		for _, in := range []string{"proxy " + ascii + " { }", "proxy eth0 { rule " + ascii + " { static } }", "proxy eth0 { " + ascii + " yes { ttl 1 } }", "proxy eth0 { ttl " + ascii + " }"} {
			_, err := config.ParseNDPPD("ndppd.conf", []byte(in), false)
			if err == nil || len(err.Error()) > 3000 {
				t.Errorf("%.30s: %.200s", in, err)
			}
		}
	})
	t.Run("flags", func(t *testing.T) {
		t.Parallel()
		if _, err := config.FromFlags([]string{long}, []string{long, long + "=static", "2001:db8::/64=" + long}); err == nil || len(err.Error()) > 10_000 {
			t.Errorf("%.200s", err)
		}
	})
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "short", strings.Repeat("x", 600)} {
		if got := config.Shorten(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	got := config.Shorten("begin" + strings.Repeat("ü", 1000) + "end")
	if len(got) > 600 || !strings.HasPrefix(got, "beginü") || !strings.HasSuffix(got, "üend") || !strings.Contains(got, "… (1608 octets) …") || !utf8.ValidString(got) {
		t.Errorf("got %q", got)
	}
}

// TestDiscovery leaves out what is found by the kernel's routes.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		uplinks  int
		discover bool
	}{
		{"nothing but the version", "version: 1\n", 0, true},
		{"no rules", "version: 1\nuplinks: [{interface: eth0}]\n", 1, true},
		{"no uplinks", "version: 1\nrules: [{prefix: 2001:db8::/64, method: route, uplinks: [eth7]}]\n", 0, false},
		{"empty rules", "version: 1\nrules: []\n", 0, false},
	}
	for _, tt := range tests {
		c, err := config.Parse("c.yaml", []byte(tt.in))
		if err != nil || len(c.Uplinks) != tt.uplinks || c.DiscoverRules != tt.discover {
			t.Errorf("%s: got %+v, %v", tt.name, c, err)
		}
	}
}

func TestParseAliases(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("c.yaml", []byte("version: 1\nuplinks: [{interface: &up eth0}]\nrules:\n  - {prefix: 2001:db8::/64, method: static, uplinks: [*up]}\n"))
	if err != nil || !slices.Equal(c.Rules[0].Uplinks, []string{"eth0"}) {
		t.Errorf("got %+v, %v", c, err)
	}
	// A file of a few lines that stands for billions of values.
	bomb := "version: 1\nuplinks: [{interface: eth0}]\na: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "]\n"
	}
	begin := time.Now()
	if _, err := config.Parse("c.yaml", []byte(bomb+"rules: *i\n")); err == nil {
		t.Error("no error")
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("took %s", took)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none.yaml")
	if _, err := config.Load(missing, config.ByName); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "--config") {
		t.Errorf("missing file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(head+"  - {prefix: 2001:db8::/64, method: static}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, config.ByName)
	if err != nil || len(c.Rules) != 1 || c.Metrics.Listen != config.DefaultMetricsListen {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestFromFlags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name              string
		interfaces, rules []string
		want              []string
	}{
		{"valid", []string{"eth0", "eth1"}, []string{"2001:db8::/64=static", "2001:db8::1=deny"}, nil},
		{"no interface", nil, []string{"2001:db8::/64=route"}, nil},
		{"no rule", []string{"eth0"}, nil, nil},
		{"loopback", []string{"lo"}, []string{"2001:db8::/64=static"}, []string{"loopback"}},
		{"twice", []string{"eth0", "eth0"}, []string{"2001:db8::/64=static", "2001:db8::/64=deny"}, []string{`"eth0" is given twice`, "2001:db8::/64 is given twice"}},
		{"no method", []string{"eth0"}, []string{"2001:db8::/64"}, []string{"want PREFIX=METHOD"}},
		{"unknown method", []string{"eth0"}, []string{"2001:db8::/64=statik"}, []string{`did you mean "static"?`}},
		{"host bits", []string{"eth0"}, []string{"2001:db8::1/64=static"}, []string{`did you mean "2001:db8::/64"?`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := config.FromFlags(tt.interfaces, tt.rules)
			if tt.want == nil {
				if err != nil || len(c.Uplinks) != len(tt.interfaces) || len(c.Rules) != len(tt.rules) || c.DiscoverRules != (len(tt.rules) == 0) {
					t.Errorf("got %+v, %v", c, err)
				}
				return
			}
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error is %v, want one with %q", err, want)
				}
			}
		})
	}
}

// FuzzParse looks for panics, and for configurations that pass and cannot be
// compiled.
func FuzzParse(f *testing.F) {
	f.Add([]byte(head + "  - {prefix: 2001:db8::/64, method: static, delay: 1s, dad: ignore}\nmetrics: {listen: ''}\n"))
	f.Add([]byte("version: 1\nuplinks: [{interface: &a eth0}, *a]\nrules: [{prefix: *a}]\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("c.yaml", data)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v, %v", c, err)
		}
		if err != nil {
			var faults config.Errors
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("error without a place: %v", err)
			}
			for _, e := range faults {
				if e.Line < 1 || e.Column < 1 || e.Message == "" {
					t.Fatalf("fault without a place: %+v", e)
				}
			}
			return
		}
		if _, err := rules.Compile(c.Rules); err != nil {
			t.Fatalf("a valid configuration does not compile: %v", err)
		}
	})
}
