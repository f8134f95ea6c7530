// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

func TestWithSingles(t *testing.T) {
	t.Parallel()
	prefixes := func(list ...string) (ps []netip.Prefix) {
		for _, s := range list {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		return ps
	}
	for name, c := range map[string]struct{ onLink, addresses, want []netip.Prefix }{
		"nothing":                         {},
		"an address with its prefix":      {prefixes("2001:db8:1::/64"), prefixes("2001:db8:1::1/64"), prefixes("2001:db8:1::/64")},
		"a single address":                {nil, prefixes("2001:db8:1::1/128"), prefixes("2001:db8:1::1/128")},
		"one in the prefix of another":    {prefixes("2001:db8:1::/64"), prefixes("2001:db8:1::1/64", "2001:db8:1::f0/128"), prefixes("2001:db8:1::/64")},
		"one beside the prefix":           {prefixes("2001:db8:1::/64"), prefixes("2001:db8:1::1/64", "2001:db8:2::1/128"), prefixes("2001:db8:1::/64", "2001:db8:2::1/128")},
		"one that is link-local":          {nil, prefixes("fe80::1/128"), nil},
		"two, of which a route knows one": {prefixes("2001:db8:1::/64"), prefixes("2001:db8:3::1/128", "2001:db8:1::1/128"), prefixes("2001:db8:1::/64", "2001:db8:3::1/128")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var link rules.Link
			for _, p := range c.addresses {
				link.Addresses = append(link.Addresses, rules.LinkAddress{Prefix: p, Usable: true})
			}
			if got := withSingles(c.onLink, link); !slices.Equal(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
