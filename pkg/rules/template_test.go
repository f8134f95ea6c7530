// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

func TestTemplateResolve(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, prefix, want string }{
		{"uplink", "2001:db8:1::/64", "2001:db8:1::/64"},
		{"uplink", "2001:db8:1::5/64", "2001:db8:1::/64"},
		{"uplink/64", "2001:db8:1::/64", "2001:db8:1::/64"},
		{"uplink/64", "2001:db8:1::5/128", "2001:db8:1::/64"},
		{"uplink/60", "2001:db8:1:f::/64", "2001:db8:1::/60"},
		{"uplink/64", "2001:db8:1::/48", "invalid Prefix"},
		{"uplink/64:f::/80", "2001:db8:1:2::/64", "2001:db8:1:2:f::/80"},
		{"uplink/64::/80", "2001:db8:1:2::/64", "2001:db8:1:2::/80"},
		{"uplink/64::5", "2001:db8:1:2::9/128", "2001:db8:1:2::5/128"},
		{"uplink/64:a:b:c:d", "fd00::/64", "fd00::a:b:c:d/128"},
		{"uplink/48:7::/64", "2001:db8:1:2::/64", "2001:db8:1:7::/64"},
		{"uplink/112:f", "2001:db8:1::a:0/112", "2001:db8:1::a:f/128"},
	}
	for _, tt := range tests {
		tp, err := rules.ParseTemplate(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := tp.Resolve(netip.MustParsePrefix(tt.prefix)).String(); got != tt.want {
			t.Errorf("%s of %s is %s, want %s", tt.text, tt.prefix, got, tt.want)
		}
		if tp.String() != tt.text {
			t.Errorf("%s is written as %s", tt.text, tp)
		}
		again, err := rules.ParseTemplate(tp.String())
		if err != nil || again != tp {
			t.Errorf("%s is read as another template: %v, %v", tp, again, err)
		}
	}
}

func TestTemplateErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"uplinks", `"uplinks" is not a prefix of the uplink (examples: "uplink", "uplink/64",`},
		{"uplink:f::/80", `did you mean "uplink/64:f::/80"?`},
		{"uplink/", `"" is not a number of bits, 16 to 127,`},
		{"uplink/eth0", `"eth0" is not a number of bits, 16 to 127,`},
		{"uplink/8", `"8" is not a number of bits`},
		{"uplink/129", `"129" is not a number of bits`},
		{"uplink/128", `the uplink's own addresses, for which the kernel answers`},
		{"uplink/64/80", `did you mean "uplink/64::/80"?`},
		{"uplink/60:f::/80", `did you mean "uplink/64:f::/80"?`},
		{"uplink/64:f::/64", `a prefix of /64 is not a part of the uplink's /64: write a length from 65 to 128`},
		{"uplink/64:f::/60", `a prefix of /60 is not a part of the uplink's /64`},
		{"uplink/64:f::/129", `"129" is not the length of an IPv6 prefix`},
		{"uplink/64:f::/x", `"x" is not the length of an IPv6 prefix`},
		{"uplink/64:f::1/80", `it has host bits set (did you mean "uplink/64:f::/80"?)`},
		{"uplink/64:1:2:3:4:5", `":1:2:3:4:5" has 5 groups of 16 bits, and 4 fit after the first 64 bits`},
		{"uplink/64:f", `did you mean "uplink/64:f::/80" or "uplink/64::f"?`},
		{"uplink/64:g::", `":g::" cannot follow the first 64 bits`},
		{"uplink/64::1%eth0", `cannot follow the first 64 bits`},
	}
	for _, tt := range tests {
		tp, err := rules.ParseTemplate(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v, want %s", tt.text, tp, err, tt.want)
		}
	}
}
