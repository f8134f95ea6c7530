// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"net/netip"
	"slices"
	"testing"
)

func TestIntervals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		prefixes []string
		want     []string // first and end
	}{
		{"nothing", nil, nil},
		{"one prefix", []string{"2001:db8::/32"}, []string{"2001:db8::", "2001:db9::"}},
		{"one address", []string{"2001:db8::7/128"}, []string{"2001:db8::7", "2001:db8::8"}},
		{"bits that are not on an octet's border", []string{"2001:db8::/29"}, []string{"2001:db8::", "2001:dc0::"}},
		{"host bits count for nothing", []string{"2001:db8::1/64"}, []string{"2001:db8::", "2001:db8:0:1::"}},
		{"in order", []string{"2001:db8:2::/48", "2001:db8::/48"}, []string{"2001:db8::", "2001:db8:1::", "2001:db8:2::", "2001:db8:3::"}},
		{"one inside of another", []string{"2001:db8:0:7::/64", "2001:db8::/48"}, []string{"2001:db8::", "2001:db8:1::"}},
		{"twice the same", []string{"2001:db8::/48", "2001:db8::/48"}, []string{"2001:db8::", "2001:db8:1::"}},
		{"side by side", []string{"2001:db8:1::/48", "2001:db8::/48"}, []string{"2001:db8::", "2001:db8:2::"}},
		{"the last prefix", []string{"ff00::/8", "2001:db8::/48"}, []string{"2001:db8::", "2001:db8:1::", "ff00::", ""}},
		{"inside of the last prefix", []string{"ff00::/8", "ff02::/16"}, []string{"ff00::", ""}},
		{"everything", []string{"2001:db8::/48", "::/0", "ff00::/8"}, []string{"::", ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var prefixes []netip.Prefix
			for _, p := range tt.prefixes {
				prefixes = append(prefixes, netip.MustParsePrefix(p))
			}
			given := slices.Clone(prefixes)
			var got []string
			for _, i := range intervals(prefixes) {
				got = append(got, i.first.String())
				if i.end.IsValid() {
					got = append(got, i.end.String())
				} else {
					got = append(got, "")
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if !slices.Equal(prefixes, given) {
				t.Error("the caller's prefixes were changed")
			}
		})
	}
}
