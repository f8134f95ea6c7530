// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// fromFlags returns the configuration of rules as the command line takes them.
func fromFlags(t *testing.T, rs ...string) *config.Config {
	t.Helper()
	c, err := config.FromFlags(nil, rs)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// routed returns an uplink with on-link routes.
func routed(u discover.Uplink, prefixes ...string) discover.Uplink {
	for _, p := range prefixes {
		u.OnLinkRoutes = append(u.OnLinkRoutes, netip.MustParsePrefix(p))
	}
	return u
}

// deprecate marks an address of an uplink as deprecated.
func deprecate(u discover.Uplink, address string) discover.Uplink {
	u.Link.Addresses = slices.Clone(u.Link.Addresses)
	for i, a := range u.Link.Addresses {
		if a.Prefix == netip.MustParsePrefix(address) {
			u.Link.Addresses[i].Deprecated = true
		}
	}
	return u
}

func TestExpand(t *testing.T) {
	t.Parallel()
	eth0 := routed(forwarding("eth0", "2001:db8:1::2/64", "fe80::2/64"), "2001:db8:1::/64")
	both := forwarding("eth0", "2001:db8:1::2/64", "fd00:1::2/64", "fe80::2/64")
	single := forwarding("eth0", "2001:db8:1::2/128", "fe80::2/64")
	renewing := deprecate(routed(forwarding("eth0", "2001:db8:1::2/64", "2001:db8:2::2/64"), "2001:db8:1::/64", "2001:db8:2::/64"), "2001:db8:1::2/64")
	withdrawn := renewing
	withdrawn.OnLinkRoutes = prefixes("2001:db8:2::/64")
	host := eth0
	host.Forwards = false
	tests := []struct {
		name    string
		rules   []string
		uplinks []discover.Uplink
		want    []string // of the rules in force
		lines   []string // of the expansions
	}{
		{name: "as it is", rules: []string{"uplink=route"}, uplinks: []discover.Uplink{eth0}, want: []string{"2001:db8:1::/64=route eth0"}, lines: []string{"uplink eth0 2001:db8:1::/64"}},
		{name: "a node that does not forward", rules: []string{"uplink=static"}, uplinks: []discover.Uplink{host}, want: []string{"2001:db8:1::/64=static eth0"}, lines: []string{"uplink eth0 2001:db8:1::/64"}},
		{
			name: "a part of it", rules: []string{"uplink/64:f::/80=probe"}, uplinks: []discover.Uplink{eth0},
			want: []string{"2001:db8:1:0:f::/80=probe eth0"}, lines: []string{"uplink/64:f::/80 eth0 2001:db8:1:0:f::/80"},
		},
		{
			name: "unique local beside global", rules: []string{"uplink/64::5=static"}, uplinks: []discover.Uplink{both},
			want:  []string{"2001:db8:1::5/128=static eth0", "fd00:1::5/128=static eth0"},
			lines: []string{"uplink/64::5 eth0 2001:db8:1::5/128", "uplink/64::5 eth0 fd00:1::5/128"},
		},
		{
			name: "two uplinks in one prefix", rules: []string{"uplink=route"}, uplinks: []discover.Uplink{eth0, forwarding("eth1", "2001:db8:1::3/64")},
			want:  []string{"2001:db8:1::/64=route eth0", "2001:db8:1::/64=route eth1"},
			lines: []string{"uplink eth0 2001:db8:1::/64", "uplink eth1 2001:db8:1::/64"},
		},
		{
			name: "a single address", rules: []string{"uplink=route"}, uplinks: []discover.Uplink{single},
			lines: []string{`uplink eth0: eth0 has no global on-link prefix, only single addresses (/128): the prefix of 64 bits around them is "uplink/64"`},
		},
		{
			name: "around a single address", rules: []string{"uplink/64=route"}, uplinks: []discover.Uplink{single},
			want: []string{"2001:db8:1::/64=route eth0"}, lines: []string{"uplink/64 eth0 2001:db8:1::/64"},
		},
		{
			name: "the single address of DHCPv6 in an on-link prefix", rules: []string{"uplink/64=route"}, uplinks: []discover.Uplink{routed(single, "2001:db8:1::/64")},
			want: []string{"2001:db8:1::/64=route eth0"}, lines: []string{"uplink/64 eth0 2001:db8:1::/64"},
		},
		{
			name: "the address tells which part of a wider prefix", rules: []string{"uplink/64=route"}, uplinks: []discover.Uplink{forwarding("eth0", "2001:db8:1:7::2/48")},
			want: []string{"2001:db8:1:7::/64=route eth0"}, lines: []string{"uplink/64 eth0 2001:db8:1:7::/64"},
		},
		{
			name: "no address in a wider prefix", rules: []string{"uplink/64=route"}, uplinks: []discover.Uplink{routed(forwarding("eth0"), "2001:db8:1::/48")},
			lines: []string{`uplink/64 eth0: the on-link prefixes of eth0 are shorter than /64, and it has no address that tells which part of them is meant`},
		},
		{
			name: "around a longer prefix", rules: []string{"uplink/64=route"}, uplinks: []discover.Uplink{forwarding("eth0", "2001:db8:1::2/112")},
			want: []string{"2001:db8:1::/64=route eth0"}, lines: []string{"uplink/64 eth0 2001:db8:1::/64"},
		},
		{
			name: "a suffix in two parts of one wider prefix", rules: []string{"uplink/64::5=static"}, uplinks: []discover.Uplink{forwarding("eth0", "2001:db8:1:7::2/48", "2001:db8:1:8::2/48")},
			want:  []string{"2001:db8:1:7::5/128=static eth0", "2001:db8:1:8::5/128=static eth0"},
			lines: []string{"uplink/64::5 eth0 2001:db8:1:7::5/128", "uplink/64::5 eth0 2001:db8:1:8::5/128"},
		},
		{
			name: "a deprecated prefix", rules: []string{"uplink=route"}, uplinks: []discover.Uplink{renewing},
			want:  []string{"2001:db8:1::/64=route eth0", "2001:db8:2::/64=route eth0"},
			lines: []string{"uplink eth0 2001:db8:1::/64 deprecated", "uplink eth0 2001:db8:2::/64"},
		},
		{
			name: "a prefix that the router has withdrawn", rules: []string{"uplink=route"}, uplinks: []discover.Uplink{withdrawn},
			want: []string{"2001:db8:2::/64=route eth0"}, lines: []string{"uplink eth0 2001:db8:2::/64"},
		},
		{
			name: "one of several addresses is deprecated", rules: []string{"uplink=route"}, uplinks: []discover.Uplink{deprecate(forwarding("eth0", "2001:db8:1::2/64", "2001:db8:1::3/64"), "2001:db8:1::3/64")},
			want: []string{"2001:db8:1::/64=route eth0"}, lines: []string{"uplink eth0 2001:db8:1::/64"},
		},
		{name: "nothing yet", rules: []string{"uplink=route"}, uplinks: []discover.Uplink{forwarding("eth0", "fe80::2/64")}, lines: []string{"uplink eth0: eth0 has no global address and no on-link prefix yet"}},
		{name: "no interface yet", rules: []string{"uplink=route"}, uplinks: []discover.Uplink{{Interface: "eth0"}}, lines: []string{"uplink eth0: eth0 does not exist yet"}},
		{name: "no uplink yet", rules: []string{"uplink=route"}},
		{
			name: "a written prefix goes first", rules: []string{"uplink=route", "2001:db8:1::/64=static"}, uplinks: []discover.Uplink{eth0},
			want: []string{"2001:db8:1::/64=static "}, lines: []string{"uplink eth0 2001:db8:1::/64 other 2001:db8:1::/64=static"},
		},
		{
			name: "the first of two templates", rules: []string{"uplink/64=static", "uplink=route"}, uplinks: []discover.Uplink{eth0},
			want:  []string{"2001:db8:1::/64=static eth0"},
			lines: []string{"uplink/64 eth0 2001:db8:1::/64", "uplink eth0 2001:db8:1::/64 other uplink/64=static"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := fromFlags(t, tt.rules...)
			rs := discover.Rules(c, tt.uplinks, nil)
			if got := texts(rs); !slices.Equal(got, trimmed(tt.want)) {
				t.Errorf("rules are %q, want %q", got, tt.want)
			}
			if _, err := rules.Compile(rs); err != nil {
				t.Error(err)
			}
			for _, r := range rs {
				if i := discover.Written(c, r); i < 0 || c.Rules[i].Method != r.Method {
					t.Errorf("%s is taken to come from rule %d", r, i)
				}
			}
			if got := lines(discover.Expand(c, tt.uplinks)); !slices.Equal(got, tt.lines) {
				t.Errorf("expansions are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.lines, "\n"))
			}
		})
	}
}

// TestExpandUplinks lets a template hold on one of two uplinks.
func TestExpandUplinks(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("c.yaml", []byte("version: 1\nrules:\n  - {prefix: uplink, method: route, uplinks: [eth1]}\n  - {prefix: uplink, method: deny, uplinks: [eth0]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := texts(discover.Rules(c, []discover.Uplink{forwarding("eth0", "2001:db8:1::2/64"), forwarding("eth1", "2001:db8:2::2/64")}, nil))
	if want := []string{"2001:db8:2::/64=route eth1", "2001:db8:1::/64=deny eth0"}; !slices.Equal(got, want) {
		t.Errorf("rules are %q, want %q", got, want)
	}
}

func trimmed(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, strings.TrimSpace(s))
	}
	return out
}

// lines shows expansions with a line for each prefix.
func lines(all []discover.Expansion) []string {
	var out []string
	for _, x := range all {
		head := x.Template.String() + " " + x.Interface
		if x.Why != "" {
			out = append(out, head+": "+x.Why)
		}
		for _, p := range x.Prefixes {
			s := head + " " + p.Prefix.String()
			if p.Deprecated {
				s += " deprecated"
			}
			if p.Other != "" {
				s += " other " + p.Other
			}
			out = append(out, s)
		}
	}
	return out
}
