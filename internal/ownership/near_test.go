// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"net/netip"
	"regexp"
	"slices"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
)

// TestLinkNames wants nodes that are near to each other to have a name in common, or one
// of them to be unknown.
func TestLinkNames(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		links [][]string // the on-link prefixes of each
		want  []string
		known bool
	}{
		{"no link", nil, nil, true},
		{"a /64", [][]string{{"2001:db8:1::/64"}}, []string{"2001-0db8-0001-0000"}, true},
		{"part of it", [][]string{{"2001:db8:1::ff00/120"}}, []string{"2001-0db8-0001-0000"}, true},
		{"two of a link, one of another", [][]string{{"2001:db8:1::/64", "fd00::/64"}, {"2001:db8:2::/64"}},
			[]string{"2001-0db8-0001-0000", "2001-0db8-0002-0000", "fd00-0000-0000-0000"}, true},
		{"the same twice", [][]string{{"2001:db8:1::/64", "2001:db8:1::1/128"}}, []string{"2001-0db8-0001-0000"}, true},
		{"not known", [][]string{nil}, nil, false},
		{"not known of one of two links", [][]string{nil, {"2001:db8:1::/64"}}, []string{"2001-0db8-0001-0000"}, true},
		{"wider than a /64", [][]string{{"2001:db8:1::/64", "2001:db8::/48"}}, nil, false},
		{"too many", [][]string{{"2001:db8:1::/64", "2001:db8:2::/64", "2001:db8:3::/64", "2001:db8:4::/64", "2001:db8:5::/64",
			"2001:db8:6::/64", "2001:db8:7::/64", "2001:db8:8::/64", "2001:db8:9::/64"}}, nil, false},
	}
	label := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	nodes := make([]ownership.Announcer, len(tests))
	for i, tt := range tests {
		for _, l := range tt.links {
			link := ownership.Link{Prefixes: []netip.Prefix{servicePrefix}}
			for _, p := range l {
				link.OnLink = append(link.OnLink, netip.MustParsePrefix(p))
			}
			nodes[i].Links = append(nodes[i].Links, link)
		}
		names, known := ownership.LinkNames(nodes[i].Links)
		if !slices.Equal(names, tt.want) || known != tt.known {
			t.Errorf("%s: %v, %t", tt.name, names, known)
		}
		for _, n := range names {
			if !label.MatchString(n) {
				t.Errorf("%q is no label", n)
			}
		}
	}
	for i := range nodes {
		for j := range nodes {
			is, isKnown := ownership.LinkNames(nodes[i].Links)
			js, jsKnown := ownership.LinkNames(nodes[j].Links)
			common := !isKnown || !jsKnown || slices.ContainsFunc(is, func(n string) bool { return slices.Contains(js, n) })
			if nodes[i].Near(&nodes[j]) && !common {
				t.Errorf("%s is near to %s, and they have no name in common", tests[i].name, tests[j].name)
			}
		}
	}
}
