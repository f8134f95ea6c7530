// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestStrayUplinks names uplinks in rules, without a list of uplinks.
func TestStrayUplinks(t *testing.T) {
	t.Parallel()
	const in = "version: 1\nrules:\n  - {prefix: 2001:db8::/64, method: route, uplinks: [eth0]}\n  - {prefix: 2001:db8:1::/64, method: route, uplinks: [eth0, eht1]}\n"
	c, err := config.Parse("c.yaml", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		uplinks []string
		want    string
	}{
		{"all are uplinks", []string{"eth0", "eht1"}, ""},
		{"a typing error", []string{"eth0", "eth1"}, `c.yaml:4:62: rules[1].uplinks[1]: "eht1" is no uplink, so the rule does not hold there: no IPv6 default route leaves by it (did you mean "eth1"?)`},
		{"one uplink", []string{"eth0"}, `c.yaml:4:62: rules[1].uplinks[1]: "eht1" is no uplink, so the rule does not hold there: no IPv6 default route leaves by it (did you mean "eth0"?)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := c.StrayUplinks(tt.uplinks).Error(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	if got := c.StrayUplinks(nil); len(got) != 3 {
		t.Errorf("without uplinks: %v", got)
	}
	if listed, err := config.Parse("c.yaml", []byte(head+"  - {prefix: 2001:db8::/64, method: route, uplinks: [eth0]}\n")); err != nil || listed.StrayUplinks(nil) != nil {
		t.Errorf("with a list of uplinks: %v, %v", listed.StrayUplinks(nil), err)
	}
}

// TestEmptyRules warns of a file by which nothing is answered.
func TestEmptyRules(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"version: 1\nrules: []\n": true,
		"version: 1\n":            false,
		head + "  - {prefix: 2001:db8::/64, method: route}\n": false,
	} {
		c, err := config.Parse("c.yaml", []byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Complete(config.Host{Getenv: func(string) string { return "" }}); err != nil {
			t.Fatal(err)
		}
		if got := len(c.Warnings) == 1 && strings.Contains(c.Warnings[0], "rules is an empty list"); got != want {
			t.Errorf("%q: warnings are %q", in, c.Warnings)
		}
	}
}

// TestDiscovery leaves out what is found by the kernel's routes.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		uplinks  int
		discover bool
	}{
		{"nothing but the version", "version: 1\n", 0, true},
		{"no rules", "version: 1\nuplinks: [{interface: eth0}]\n", 1, true},
		{"no uplinks", "version: 1\nrules: [{prefix: 2001:db8::/64, method: route, uplinks: [eth7]}]\n", 0, false},
		{"empty rules", "version: 1\nrules: []\n", 0, false},
	}
	for _, tt := range tests {
		c, err := config.Parse("c.yaml", []byte(tt.in))
		if err != nil || len(c.Uplinks) != tt.uplinks || c.DiscoverRules != tt.discover {
			t.Errorf("%s: got %+v, %v", tt.name, c, err)
		}
	}
}

func TestParseAliases(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("c.yaml", []byte("version: 1\nuplinks: [{interface: &up eth0}]\nrules:\n  - {prefix: 2001:db8::/64, method: static, uplinks: [*up]}\n"))
	if err != nil || !slices.Equal(c.Rules[0].Uplinks, []string{"eth0"}) {
		t.Errorf("got %+v, %v", c, err)
	}
	// A file of a few lines that stands for billions of values.
	bomb := "version: 1\nuplinks: [{interface: eth0}]\na: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "]\n"
	}
	begin := time.Now()
	if _, err := config.Parse("c.yaml", []byte(bomb+"rules: *i\n")); err == nil {
		t.Error("no error")
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("took %s", took)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none.yaml")
	if _, err := config.Load(missing, config.ByName); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "--config") {
		t.Errorf("missing file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(head+"  - {prefix: 2001:db8::/64, method: static}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, config.ByName)
	if err != nil || len(c.Rules) != 1 || c.Metrics.Listen != config.DefaultMetricsListen {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestFromFlags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name              string
		interfaces, rules []string
		want              []string
	}{
		{"valid", []string{"eth0", "eth1"}, []string{"2001:db8::/64=static", "2001:db8::1=deny"}, nil},
		{"no interface", nil, []string{"2001:db8::/64=route"}, nil},
		{"no rule", []string{"eth0"}, nil, nil},
		{"loopback", []string{"lo"}, []string{"2001:db8::/64=static"}, []string{"loopback"}},
		{"twice", []string{"eth0", "eth0"}, []string{"2001:db8::/64=static", "2001:db8::/64=deny"}, []string{`"eth0" is given twice`, "2001:db8::/64 is given twice"}},
		{"no method", []string{"eth0"}, []string{"2001:db8::/64"}, []string{"want PREFIX=METHOD"}},
		{"unknown method", []string{"eth0"}, []string{"2001:db8::/64=statik"}, []string{`did you mean "static"?`}},
		{"host bits", []string{"eth0"}, []string{"2001:db8::1/64=static"}, []string{`did you mean "2001:db8::/64"?`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := config.FromFlags(tt.interfaces, tt.rules)
			if tt.want == nil {
				if err != nil || len(c.Uplinks) != len(tt.interfaces) || len(c.Rules) != len(tt.rules) || c.DiscoverRules != (len(tt.rules) == 0) {
					t.Errorf("got %+v, %v", c, err)
				}
				return
			}
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error is %v, want one with %q", err, want)
				}
			}
		})
	}
}

// FuzzParse looks for panics, and for configurations that pass and cannot be
// compiled.
func FuzzParse(f *testing.F) {
	f.Add([]byte(head + "  - {prefix: 2001:db8::/64, method: static, delay: 1s, dad: ignore}\nmetrics: {listen: ''}\n"))
	f.Add([]byte("version: 1\nuplinks: [{interface: &a eth0}, *a]\nrules: [{prefix: *a}]\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("c.yaml", data)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v, %v", c, err)
		}
		if err != nil {
			var faults config.Errors
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("error without a place: %v", err)
			}
			for _, e := range faults {
				if e.Line < 1 || e.Column < 1 || e.Message == "" {
					t.Fatalf("fault without a place: %+v", e)
				}
			}
			return
		}
		if _, err := rules.Compile(c.Rules); err != nil {
			t.Fatalf("a valid configuration does not compile: %v", err)
		}
	})
}
