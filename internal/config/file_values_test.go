// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ndproxyd/ndproxyd/internal/config"
)

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
