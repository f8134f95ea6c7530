// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// ofUplink is a file with these keys of an uplink.
func ofUplink(keys string) string {
	return "version: 1\nuplinks:\n  - interface: eth0\n    " + strings.ReplaceAll(keys, "\n", "\n    ") + "\nrules: []\n"
}

func TestFastPath(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]rules.FastPathMode{
		"auto": rules.FastPathAuto, "off": rules.FastPathOff, `"off"`: rules.FastPathOff, "false": rules.FastPathOff,
		"tc": rules.FastPathTC, "xdp": rules.FastPathXDP, "xdp-generic": rules.FastPathXDPGeneric,
	} {
		c, err := config.Parse("c.yaml", []byte(ofUplink("fast_path: "+name)))
		if err != nil || c.Uplinks[0].FastPath != want {
			t.Errorf("fast_path: %s is read as %+v, %v", name, c, err)
		}
	}
	for in, want := range map[string]time.Duration{"1s": time.Second, "1h": time.Hour, "1m30s": 90 * time.Second} {
		c, err := config.Parse("c.yaml", []byte(ofUplink("fast_path_hold: "+in)))
		if err != nil || c.Uplinks[0].Hold() != want {
			t.Errorf("fast_path_hold: %s is read as %+v, %v", in, c, err)
		}
	}
	for _, with := range []string{"auto", "off", "xdp", "xdp-generic"} {
		if _, err := config.Parse("c.yaml", []byte(ofUplink("socket: early\nfast_path: "+with))); err != nil {
			t.Errorf("socket: early with fast_path: %s: %v", with, err)
		}
	}
}

func TestFastPathErrors(t *testing.T) {
	t.Parallel()
	directory := func(s string) string { return "version: 1\nfast_path_directory: " + s + "\n" }
	const both = `uplinks[0].fast_path: "socket: early" hears solicitations before the program at tc, so both would answer: remove one of the two keys, or use fast_path: xdp`
	for _, tt := range []struct{ name, in, want string }{
		{"misspelled mode", ofUplink("fast_path: xdp_generic"), `c.yaml:4:16: uplinks[0].fast_path: "xdp_generic" is not one of auto, off, tc, xdp, xdp-generic (did you mean "xdp-generic"?)`},
		{"no mode", ofUplink("fast_path:"), `uplinks[0].fast_path: is empty, want a word`},
		{"true", ofUplink("fast_path: true"), `uplinks[0].fast_path: "true" is not one of auto, off`},
		{"misspelled key", ofUplink("fastpath: tc"), `c.yaml:4:5: uplinks[0]: unknown key "fastpath" (did you mean "fast_path"?)`},
		{"short hold", ofUplink("fast_path_hold: 999ms"), `c.yaml:4:21: uplinks[0].fast_path_hold: 999ms is outside 1s to 1h0m0s`},
		{"long hold", ofUplink("fast_path_hold: 61m"), `uplinks[0].fast_path_hold: 1h1m0s is outside 1s to 1h0m0s`},
		{"negative hold", ofUplink("fast_path_hold: -1m"), `uplinks[0].fast_path_hold: -1m0s is outside 1s to 1h0m0s`},
		{"no hold", ofUplink("fast_path_hold: 0s"), `uplinks[0].fast_path_hold: 0s is outside 1s to 1h0m0s: leave the key out for the default`},
		{"hold without unit", ofUplink("fast_path_hold: 60"), `uplinks[0].fast_path_hold: "60" is not a duration`},
		{"before and at tc", ofUplink("socket: early\nfast_path: tc"), "c.yaml:5:16: " + both},
		{"at tc and before", ofUplink("fast_path: tc\nsocket: early"), "c.yaml:4:16: " + both},
		{"relative directory", directory("sys/fs/bpf"), `c.yaml:2:22: fast_path_directory: "sys/fs/bpf" is not an absolute path (example: "/sys/fs/bpf/ndproxyd")`},
		{"empty directory", directory(`""`), `fast_path_directory: "" is not an absolute path`},
		{"directory with NUL", directory(`"/sys/fs/bpf/a\0b"`), `is not an absolute path`},
		{"root directory", directory("//"), `fast_path_directory: "//" is no directory of a bpffs: name one in it`},
		{"back to the root", directory("/sys/.."), `fast_path_directory: "/sys/.." is no directory of a bpffs`},
		{"dot in the directory", directory("/sys/fs/bpf/ndproxyd.d/"), `"/sys/fs/bpf/ndproxyd.d/" has a dot in its last part, which a bpffs refuses: name another directory`},
		{"list of directories", directory("[/sys/fs/bpf]"), `fast_path_directory: is a list, want a word`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse("c.yaml", []byte(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("got %v, want one error with %q", err, tt.want)
			}
		})
	}
}

func TestFastPathDirectoryDefault(t *testing.T) {
	t.Parallel()
	host := config.Host{Getenv: func(string) string { return "" }}
	for name, c := range map[string]*config.Config{"nothing": config.Discovery(), "a file": mustParse(t, "version: 1\n")} {
		if err := c.Complete(host); err != nil || c.FastPathDirectory != config.DefaultFastPathDirectory {
			t.Errorf("with %s: %q, %v", name, c.FastPathDirectory, err)
		}
	}
	c := mustParse(t, "version: 1\nfast_path_directory: /run/bpf\n")
	if err := c.Complete(host); err != nil || c.FastPathDirectory != "/run/bpf" {
		t.Errorf("the one of the file: %q, %v", c.FastPathDirectory, err)
	}
}

func mustParse(t *testing.T, in string) *config.Config {
	t.Helper()
	c, err := config.Parse("c.yaml", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
