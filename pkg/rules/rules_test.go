// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func compile(t testing.TB, rs ...rules.Rule) *rules.Table {
	t.Helper()
	table, err := rules.Compile(rs)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestParsePrefix(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, want, err string
	}{
		{name: "prefix", in: "2001:db8::/64", want: "2001:db8::/64"},
		{name: "address", in: "2001:db8::1", want: "2001:db8::1/128"},
		{name: "everything", in: "::/0", want: "::/0"},
		{name: "unique local", in: "fd00::/8", want: "fd00::/8"},
		{name: "long form", in: "2001:0DB8:0:0::/64", want: "2001:db8::/64"},
		{name: "host bits", in: "2001:db8::1/80", err: `did you mean "2001:db8::/80"?`},
		{name: "no prefix", in: "pods", err: "is not an IPv6 prefix"},
		{name: "empty", in: "", err: "is not an IPv6 prefix"},
		{name: "too long", in: "2001:db8::/129", err: "is not an IPv6 prefix"},
		{name: "slash without length", in: "2001:db8::/", err: "is not an IPv6 prefix"},
		{name: "IPv4", in: "192.0.2.0/24", err: "is IPv4"},
		{name: "IPv4 address", in: "192.0.2.1", err: "is IPv4"},
		{name: "IPv4-mapped", in: "::ffff:192.0.2.1", err: "is IPv4"},
		{name: "multicast", in: "ff02::/16", err: "is multicast"},
		{name: "link-local", in: "fe80::/64", err: "is link-local"},
		{name: "link-local with zone", in: "fe80::1%eth0", err: "names a zone"},
		{name: "loopback", in: "::1", err: "can be no station's address"},
		{name: "unspecified", in: "::", err: "can be no station's address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := rules.ParsePrefix(tt.in)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error is %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Fatalf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	table := compile(t,
		rules.Rule{Prefix: prefix("2001:db8::/64"), Method: rules.Static},
		rules.Rule{Prefix: prefix("2001:db8:0:0:1::/80"), Method: rules.Deny},
		rules.Rule{Prefix: prefix("2001:db8::1:0:0:5/128"), Method: rules.Static, DAD: rules.DADIgnore, Delay: time.Second},
		rules.Rule{Prefix: prefix("2001:db8:5::/64"), Method: rules.Static, Uplinks: []string{"eth1"}},
		rules.Rule{Prefix: prefix("2001:db8:0:0:2::/80"), Method: rules.Deny, Uplinks: []string{"eth1"}},
	)
	tests := []struct {
		name, uplink, target string
		want                 rules.Verdict
		none                 bool
	}{
		{name: "prefix", uplink: "eth0", target: "2001:db8::7", want: rules.Verdict{Answer: true}},
		{name: "deny inside", uplink: "eth0", target: "2001:db8:0:0:1::7", want: rules.Verdict{Silence: rules.Denied, Rule: 1}},
		{name: "exact inside deny", uplink: "eth0", target: "2001:db8::1:0:0:5", want: rules.Verdict{Answer: true, IgnoreDAD: true, Delay: time.Second, Rule: 2}},
		{name: "nothing", uplink: "eth0", target: "2001:db8:1::1", none: true},
		{name: "rule of another uplink", uplink: "eth0", target: "2001:db8:5::1", none: true},
		{name: "rule of this uplink", uplink: "eth1", target: "2001:db8:5::1", want: rules.Verdict{Answer: true, Rule: 3}},
		{name: "deny of another uplink", uplink: "eth0", target: "2001:db8:0:0:2::1", want: rules.Verdict{Answer: true}},
		{name: "deny of this uplink", uplink: "eth1", target: "2001:db8:0:0:2::1", want: rules.Verdict{Silence: rules.Denied, Rule: 4}},
		{name: "rule of all on a named uplink", uplink: "eth1", target: "2001:db8::7", want: rules.Verdict{Answer: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := table.View(tt.uplink).Lookup(netip.MustParseAddr(tt.target))
			if ok == tt.none || got.Verdict != tt.want {
				t.Fatalf("got %+v, %t, want %+v, %t", got, ok, tt.want, !tt.none)
			}
		})
	}
}

func TestHears(t *testing.T) {
	t.Parallel()
	table := compile(t,
		rules.Rule{Prefix: prefix("2001:db8:2::/64"), Method: rules.Static},
		rules.Rule{Prefix: prefix("2001:db8:2::1/128"), Method: rules.Deny},
		rules.Rule{Prefix: prefix("2001:db8:2::2/128"), Method: rules.Route},
		rules.Rule{Prefix: prefix("2001:db8:1::/80"), Method: rules.Probe},
		rules.Rule{Prefix: prefix("2001:db8:3::/80"), Method: rules.Deny},
	)
	want := []netip.Prefix{prefix("2001:db8:1::/80"), prefix("2001:db8:2::/64")}
	if got := table.View("").Hears(); !slices.Equal(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	var none *rules.View
	if got := none.Hears(); got != nil {
		t.Errorf("without a view: %s", got)
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	p := prefix("2001:db8::/64")
	tests := []struct {
		name string
		in   []rules.Rule
		want string
	}{
		{"same prefix", []rules.Rule{{Prefix: p, Method: rules.Static}, {Prefix: p, Method: rules.Deny}}, "rule 0 has the same prefix"},
		{"same prefix on one uplink", []rules.Rule{{Prefix: p, Method: rules.Static}, {Prefix: p, Method: rules.Deny, Uplinks: []string{"eth0"}}}, "rule 0 has the same prefix"},
		{"no prefix", []rules.Rule{{Method: rules.Static}}, "prefix is missing"},
		{"no method", []rules.Rule{{Prefix: p}}, "method is not one of " + strings.Join(rules.MethodNames(), ", ")},
		{"long delay", []rules.Rule{{Prefix: p, Method: rules.Static, Delay: time.Minute}}, "RFC 4861 §10"},
		{"devices of a static rule", []rules.Rule{{Prefix: p, Method: rules.Static, Devices: []string{"br0"}}}, "devices go with the methods route and probe only"},
		{"autowire of a route rule", []rules.Rule{{Prefix: p, Method: rules.Route, Devices: []string{"br0"}, Autowire: true}}, "autowire goes with the method probe only"},
		{"own addresses of a static rule", []rules.Rule{{Prefix: p, Method: rules.Static, IgnoreOwn: true}}, "own_addresses goes with the methods route and probe only"},
		{"short ttl", []rules.Rule{{Prefix: p, Method: rules.Probe, Timing: rules.Timing{TTL: time.Millisecond}}}, "ttl 1ms is outside 1s to 1h0m0s"},
		{"host bits", []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::1/64"), Method: rules.Static}}, "host bits"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := rules.Compile(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error is %v, want one with %q", err, tt.want)
			}
		})
	}
	if _, err := rules.Compile([]rules.Rule{
		{Prefix: p, Method: rules.Static, Uplinks: []string{"eth0"}},
		{Prefix: p, Method: rules.Deny, Uplinks: []string{"eth1"}},
	}); err != nil {
		t.Errorf("the same prefix on different uplinks: %v", err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, m := range rules.Methods() {
		if got, err := rules.ParseMethod(m.String()); err != nil || got != m {
			t.Errorf("method %s is read as %s, %v", m, got, err)
		}
	}
	if _, err := rules.ParseMethod("sttic"); err == nil || !strings.Contains(err.Error(), strings.Join(rules.MethodNames(), ", ")) {
		t.Errorf("error is %v", err)
	}
	for i, name := range rules.MembershipModeNames() {
		if got, err := rules.ParseName[rules.MembershipMode](name, rules.MembershipModeNames()); err != nil || int(got) != i || got.String() != name {
			t.Errorf("mode %s is read as %s, %v", name, got, err)
		}
	}
	if _, err := rules.ParseName[rules.RouterFlag]("yes", rules.RouterFlagNames()); err == nil || !strings.Contains(err.Error(), "auto, true, false") {
		t.Errorf("error is %v", err)
	}
}
