// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// linkWith returns a link with n addresses in as many prefixes.
func linkWith(n int) rules.Link {
	l := rules.Link{Name: "uplink", Index: 2, MAC: [6]byte{2, 0, 0, 0, 0, 2}, Up: true, Forwarding: true}
	for i := range n {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 4: byte(i), 15: 1})
		l.Addresses = append(l.Addresses, rules.LinkAddress{Prefix: netip.PrefixFrom(a, 64), Usable: true})
	}
	return l
}

// TestFits tells where the program can decide: at each bound, and not beyond it.
func TestFits(t *testing.T) {
	t.Parallel()
	askers := func(n int) rules.Uplink {
		return rules.Uplink{IgnoreSources: make([]rules.Asker, n)}
	}
	for name, c := range map[string]struct {
		addresses int
		uplink    rules.Uplink
		why       string
	}{
		"as many sources as fit":    {addresses: maxSources},
		"more sources":              {addresses: maxSources + 1, why: "addresses to answer from"},
		"sources that do not count": {addresses: maxAddresses, uplink: rules.Uplink{Source: rules.SourceTarget}},
		"more addresses":            {addresses: maxAddresses + 1, uplink: rules.Uplink{Source: rules.SourceTarget}, why: "17 addresses"},
		"as many askers as fit":     {addresses: 1, uplink: askers(maxIgnored)},
		"more askers":               {addresses: 1, uplink: askers(maxIgnored + 1), why: "ignore_sources"},
		"a limit":                   {addresses: 1, uplink: rules.Uplink{LimitPerAsker: 1}, why: "limit_per_asker"},
		"as many on-link prefixes as fit": {
			addresses: maxOnLink, uplink: rules.Uplink{Source: rules.SourceTarget, RequireOnLinkSource: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := factsOf(ndp.NewInterface(linkWith(c.addresses), c.uplink), true)
			if (err != nil) != (c.why != "") || err != nil && !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want %q", err, c.why)
			}
		})
	}
}

// TestFactsOf tells what of the settings becomes which fact.
func TestFactsOf(t *testing.T) {
	t.Parallel()
	prefix, mac := netip.MustParsePrefix("2001:db8:9::/48"), [6]byte{2, 9}
	for name, c := range map[string]struct {
		uplink  rules.Uplink
		forward bool
		consume bool
		flags   uint32
		router  uint32
		sources uint32
		onlinks uint32
		ignored [2]uint32 // prefixes, MAC addresses
	}{
		"nothing is set":         {flags: flagHasFallback, sources: 2},
		"forwarding":             {forward: true, flags: flagHasFallback, router: flagRouter, sources: 2},
		"answers of the target":  {uplink: rules.Uplink{Source: rules.SourceTarget}, flags: flagSourceTarget},
		"no link-local address":  {uplink: rules.Uplink{Source: rules.SourceLinkLocal}},
		"consumed at tc":         {uplink: rules.Uplink{ConsumeUnicast: true}, consume: true, flags: flagHasFallback | flagConsume, sources: 2},
		"not consumed by others": {uplink: rules.Uplink{ConsumeUnicast: true}, flags: flagHasFallback, sources: 2},
		"on-link askers":         {uplink: rules.Uplink{RequireOnLinkSource: true}, flags: flagHasFallback | flagOnLinkOnly, sources: 2, onlinks: 2},
		"ignored askers": {
			uplink: rules.Uplink{IgnoreSources: []rules.Asker{{MAC: mac}, {Prefix: prefix}, {MAC: mac}}},
			flags:  flagHasFallback, sources: 2, ignored: [2]uint32{1, 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := linkWith(2)
			link.Forwarding = c.forward
			f, err := factsOf(ndp.NewInterface(link, c.uplink), c.consume)
			if err != nil {
				t.Fatal(err)
			}
			if f.Flags != c.flags || f.Router != c.router || f.Sources != c.sources || f.Onlinks != c.onlinks ||
				f.Ignored != c.ignored[0] || f.IgnoredMacs != c.ignored[1] || f.Addresses != 2 {
				t.Errorf("the facts are %+v", f)
			}
		})
	}
}

// TestLineOf tells what of a verdict becomes which line.
func TestLineOf(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix("2001:db8::/80")
	for name, c := range map[string]struct {
		verdict rules.Verdict
		want    line
	}{
		"answered":              {rules.Verdict{Answer: true}, lineAnswer | lineCovered},
		"answered after a time": {rules.Verdict{Answer: true, Delay: time.Second}, lineAnswer | lineDelayed | lineCovered},
		"a service address":     {rules.Verdict{Answer: true, Service: true}, lineAnswer | lineShared | lineCovered},
		"asked first":           {rules.Verdict{Probe: true}, lineCovered},
		"without a route":       {rules.Verdict{Silence: rules.NoRoute}, lineCovered},
		"denied":                {rules.Verdict{Silence: rules.Denied}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := lineOf(p, c.verdict); got&(1<<lengthFrom-1) != c.want || got>>lengthFrom != 80 {
				t.Errorf("the line is %#x", got)
			}
		})
	}
	if got := keyOf(p).prefix(); got != p {
		t.Errorf("the key of %s is that of %s", p, got)
	}
}
