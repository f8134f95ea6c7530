// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestDiscoveredRulesAnswer asks which addresses of the uplink's prefix
// 2001:db8:1::/64 discovered rules answer for, given what the kernel's routes
// amount to. behind marks the routes that lead to a device behind the node, as
// the judge of routes has it, which knows nothing of prefixes. What a wide route leads
// to is asked for before it is answered.
func TestDiscoveredRulesAnswer(t *testing.T) {
	t.Parallel()
	behind := func(p string) rules.Entry {
		return rules.Entry{Prefix: netip.MustParsePrefix(p), Behind: true, Device: 3}
	}
	away := func(p string) rules.Entry { return rules.Entry{Prefix: netip.MustParsePrefix(p), Device: 2} }
	const (
		station   = "2001:db8:1::57"    // another station of the LAN
		container = "2001:db8:1:0:d::5" // behind the node
	)
	wan := forwarding("wan", "2001:db8:1::2/64", "fe80::2/64")
	host := wan
	host.Forwards = false
	tests := []struct {
		name    string
		uplink  discover.Uplink
		entries []rules.Entry
		want    []string // of station and container
	}{
		{
			// NetworkManager gives the two interfaces of a laptop the metrics 100
			// and 101, and the first is "never-default": the on-link route through
			// it wins, the default route is on the second one.
			name: "a second interface on the link has the better metric", uplink: wan,
			entries: []rules.Entry{behind("2001:db8:1::/64")},
		},
		{
			// The first interface had the default route until it expired.
			name: "a second interface on the link, whose default route has expired", uplink: wan,
			entries: []rules.Entry{behind("2001:db8:1::/64"), away("2001:db8:1::2/128")},
		},
		{
			name: "a second interface on the link, and a container behind the node", uplink: wan,
			entries: []rules.Entry{behind("2001:db8:1::/64"), behind(container + "/128")}, want: []string{container},
		},
		{
			name: "a second interface in a wider prefix that holds the link's", uplink: wan,
			entries: []rules.Entry{behind("2001:db8:1::/48")},
		},
		{
			// The shim by which a host reaches its own macvlan containers is on
			// the link itself; its routes do not lead behind the node.
			name: "macvlan shim", uplink: wan,
			entries: []rules.Entry{away("2001:db8:1::/64"), away(container + "/128")},
		},
		{
			name: "macvlan shim with the better metric, beside a bridge", uplink: wan,
			entries: []rules.Entry{behind("2001:db8:1::/64"), behind("2001:db8:1:0:d::/80")}, want: []string{container},
		},
		{
			name: "bridge of docker with a part of the prefix", uplink: wan,
			entries: []rules.Entry{away("2001:db8:1::/64"), behind("2001:db8:1:0:d::/80")}, want: []string{container},
		},
		{
			name: "host routes to pods", uplink: wan,
			entries: []rules.Entry{away("2001:db8:1::/64"), behind(container + "/128")}, want: []string{container},
		},
		{
			name: "the node does not forward", uplink: host,
			entries: []rules.Entry{away("2001:db8:1::/64"), behind("2001:db8:1:0:d::/80"), behind(station + "/128")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s rules.Store
			s.Replace(rules.Kernel, slices.Values(tt.entries))
			s.SetOnLink("wan", rules.OnLink(tt.uplink.Link, nil))
			if err := s.SetRules(discover.Rules(config.Discovery(), []discover.Uplink{tt.uplink}, nil)); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range []string{station, container} {
				if v := s.Load().View("wan").Find(netip.MustParseAddr(a)); v != nil && v.Answer {
					got = append(got, a)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("answers for %q, want %q", got, tt.want)
			}
		})
	}
}
