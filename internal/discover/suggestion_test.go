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

// behind returns routes to devices behind the host, each written as PREFIX DEVICE, with
// a "!" before the device where it has no neighbor discovery.
func behind(list ...string) []discover.Route {
	var rs []discover.Route
	for _, s := range list {
		p, device, _ := strings.Cut(s, " ")
		name, tunnel := strings.CutPrefix(device, "!")
		rs = append(rs, discover.Route{Prefix: netip.MustParsePrefix(p), Device: name, Neighbor: !tunnel, Host: name == "lo"})
	}
	return rs
}

// TestSuggest has the configurations that are suggested read, and compares the rules.
func TestSuggest(t *testing.T) {
	t.Parallel()
	eth0 := forwarding("eth0", "2001:db8:1::2/64", "fe80::2/64")
	single := forwarding("eth0", "2001:db8:0:1::/128", "fe80::2/64")
	tun0, ppp0 := discover.DefaultDevice{Name: "tun0"}, discover.DefaultDevice{Name: "ppp0"}
	lan := discover.Device{Name: "eth0", Ethernet: true, OnLink: prefixes("2001:db8:1::/64")}
	tests := []struct {
		name     string
		config   *config.Config
		overview discover.Overview
		uplinks  []string
		want     []string // rules
	}{
		{
			name:     "a single address, and the prefix on a bridge",
			overview: discover.Overview{Uplinks: []discover.Uplink{single}, Routes: behind("2001:db8:0:1::/64 lxdbr0", "2001:db8:0:1::1/128 lo")},
			want:     []string{"2001:db8:0:1::/64=probe"},
		},
		{
			name:     "a second prefix, in a tunnel",
			overview: discover.Overview{Uplinks: []discover.Uplink{eth0}, Routes: behind("2001:db8:2::/112 !wg0", "2001:db8:1:0:d::/80 docker0")},
			want:     []string{"uplink=route", "2001:db8:2::/112=route"},
		},
		{
			name:     "an address of the host",
			overview: discover.Overview{Uplinks: []discover.Uplink{single}, Routes: behind("2001:db8:5::53/128 lo")},
			want:     []string{"2001:db8:5::53/128=route"},
		},
		{
			name:     "named uplinks",
			config:   &config.Config{DiscoverRules: true, Uplinks: []rules.Uplink{{Interface: "eth0"}}},
			overview: discover.Overview{Uplinks: []discover.Uplink{single}, Routes: behind("2001:db8:0:1::/64 lxdbr0")},
			uplinks:  []string{"eth0"}, want: []string{"2001:db8:0:1::/64=probe"},
		},
		{name: "an empty list of rules", config: &config.Config{}, overview: discover.Overview{Uplinks: []discover.Uplink{eth0}}, want: []string{"uplink=route"}},
		{name: "what discovery answers for", overview: discover.Overview{Uplinks: []discover.Uplink{eth0}, Routes: behind("2001:db8:1:0:d::/80 docker0", "2001:db8:1::5/128 lo")}},
		{name: "nothing behind", overview: discover.Overview{Uplinks: []discover.Uplink{single}}},
		{
			name:     "what no provider delivers to a host",
			overview: discover.Overview{Uplinks: []discover.Uplink{single}, Routes: behind("fd00:1::/64 docker0", "2000::/3 !tun0", "fe80::/64 docker0", "64:ff9b::/96 !nat64")},
		},
		{
			name: "rules of the configuration", config: &config.Config{Rules: []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8:9::/64"), Method: rules.Static}}},
			overview: discover.Overview{Uplinks: []discover.Uplink{single}, Routes: behind("2001:db8:0:1::/64 lxdbr0")},
		},
		{
			name: "a cluster", config: &config.Config{DiscoverRules: true, Kubernetes: &config.Kubernetes{}},
			overview: discover.Overview{Uplinks: []discover.Uplink{single}, Routes: behind("2001:db8:0:1::/64 lxdbr0")},
		},
		{
			name:     "the default route through a tunnel, a part of a link's prefix behind",
			overview: discover.Overview{Defaults: []discover.DefaultDevice{tun0}, Devices: []discover.Device{lan}, Routes: behind("2001:db8:1::/64 eth0", "2001:db8:1:0:d::/80 docker0")},
			uplinks:  []string{"eth0"},
		},
		{
			name:     "the default route through a modem, other prefixes behind",
			overview: discover.Overview{Defaults: []discover.DefaultDevice{ppp0}, Devices: []discover.Device{lan}, Routes: behind("2001:db8:1::/64 eth0", "2001:db8:2::/64 docker0")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := tt.config
			if c == nil {
				c = config.Discovery()
			}
			s := discover.Suggest(c, tt.overview)
			if s.IsZero() != (len(tt.uplinks)+len(tt.want) == 0) {
				t.Fatalf("suggested is %q", s.YAML())
			}
			if s.IsZero() {
				return
			}
			file, err := config.Parse("suggested.yaml", []byte(s.YAML()))
			if err != nil {
				t.Fatalf("%v\n%s", err, s.YAML())
			}
			var flags []string
			for i, word := range strings.Fields(s.Flags()) {
				if i%2 == 1 {
					flags = append(flags, word)
				}
			}
			if want := append(slices.Clone(tt.uplinks), tt.want...); !slices.Equal(flags, want) {
				t.Errorf("flags have %q, want %q", flags, want)
			}
			var got, uplinks []string
			for _, r := range file.Rules {
				got = append(got, r.String())
			}
			for _, u := range file.Uplinks {
				uplinks = append(uplinks, u.Interface)
			}
			if !slices.Equal(got, tt.want) || !slices.Equal(uplinks, tt.uplinks) {
				t.Errorf("suggested are %q on %q, want %q on %q", got, uplinks, tt.want, tt.uplinks)
			}
		})
	}
}

// TestOverviewLines says what is there.
func TestOverviewLines(t *testing.T) {
	t.Parallel()
	eth0 := forwarding("eth0", "2001:db8:0:1::/128", "fe80::2/64")
	tests := []struct {
		name     string
		overview discover.Overview
		want     []string
	}{
		{"no IPv6", discover.Overview{NoIPv6: true}, []string{"IPv6 is off on this host (net.ipv6.conf.all.disable_ipv6)"}},
		{"nothing", discover.Overview{}, []string{"default route: none", "no interface has a global on-link prefix"}},
		{
			"a bridge", discover.Overview{
				Defaults: []discover.DefaultDevice{{Name: "eth0", Ethernet: true}}, Uplinks: []discover.Uplink{eth0},
				Devices: []discover.Device{{Name: "lxdbr0", Ethernet: true, OnLink: prefixes("2001:db8:0:1::/64")}}, Routes: behind("2001:db8:0:1::/64 lxdbr0", "2001:db8:0:1::1/128 lo"),
			},
			[]string{
				"default route: through eth0", "uplink eth0: 2001:db8:0:1::/128; no global on-link prefix",
				"interface lxdbr0: on-link 2001:db8:0:1::/64", "behind this host: 2001:db8:0:1::/64 on lxdbr0",
			},
		},
		{
			"a tunnel", discover.Overview{Defaults: []discover.DefaultDevice{{Name: "he6"}}, Devices: []discover.Device{{Name: "he6", OnLink: prefixes("2001:db8:7::/64")}}},
			[]string{"default route: through he6 (not Ethernet)", "interface he6 (not Ethernet): on-link 2001:db8:7::/64"},
		},
		{
			"an uplink that is missing", discover.Overview{Uplinks: []discover.Uplink{{Interface: "eth0"}}, Routes: behind("2001:db8::53/128 lo")},
			[]string{"default route: none", "uplink eth0: the interface does not exist yet", "behind this host: 2001:db8::53/128, which the host itself has, on lo"},
		},
	}
	for _, tt := range tests {
		if got := tt.overview.Lines(); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}
