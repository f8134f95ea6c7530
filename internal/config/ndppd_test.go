// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ndproxyd/ndproxyd/internal/config"
)

// p is the prefix of most vectors.
const p = "2001:db8:1:0:8::/80"

// show writes what a file comes to in one line: each uplink with its R flag, and
// each rule with its method.
func show(c *config.Config) string {
	var parts []string
	for _, u := range c.Uplinks {
		parts = append(parts, fmt.Sprintf("%s R=%s", u.Interface, u.Router))
	}
	for _, r := range c.Rules {
		s := fmt.Sprintf("%s %s", r.Prefix, r.Method)
		if len(r.Devices) > 0 {
			s += " " + strings.Join(r.Devices, ",")
		}
		if r.Autowire {
			s += " autowire"
		}
		if t := r.Timing; t.TTL != 0 || t.Timeout != 0 || t.Deadtime != 0 || t.Retries != 0 {
			s += fmt.Sprintf(" ttl=%s timeout=%s deadtime=%s retries=%d", t.TTL, t.Timeout, t.Deadtime, t.Retries)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// ndppdVector is a file, and what becomes of it: want where nothing keeps it from being
// loaded, else the quirks that do so by place and name, and what a lenient reading gives;
// or what fails in any case. warns are quirks that are warnings in both readings.
type ndppdVector struct {
	name, in      string
	want, lenient string
	quirks, fails string
	warns         string
}

func TestNDPPD(t *testing.T) {
	t.Parallel()
	for _, v := range ndppdVectors() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			in := []byte(strings.NewReplacer("⏎", "\n", "P {", p+" {", "=P", "="+p, "P{", p+"{", `"P"`, `"`+p+`"`, "P Q", p+" 2001:db8::/64", "P /*", p+" /*", "P⏎", p+"\n").Replace(v.in))
			strict, err := config.ParseNDPPD("ndppd.conf", in, false)
			if want := v.quirks + v.fails; want != "" {
				if got := quirks(t, err); got != want && (v.fails == "" || !strings.Contains(got, want)) {
					t.Errorf("strict: got %q, want %q\n%v", got, want, err)
				}
			} else if err != nil || show(strict.Config) != v.want {
				t.Errorf("strict: got %v %v, want %q", strict, err, v.want)
			} else {
				wantWarnings(t, strict, v.warns)
			}
			lenient, err := config.ParseNDPPD("ndppd.conf", in, true)
			switch want := v.want + v.lenient; {
			case v.fails != "":
				if got := quirks(t, err); !strings.Contains(got, v.fails) {
					t.Errorf("lenient: got %q, want %q", got, v.fails)
				}
			case err != nil || show(lenient.Config) != want:
				t.Errorf("lenient: got %v %v, want %q", lenient, err, want)
			case v.quirks != "" && len(lenient.Warnings) < strings.Count(v.quirks, ",")+1:
				t.Errorf("warnings are %q", lenient.Warnings)
			default:
				wantWarnings(t, lenient, v.warns)
				roundTrip(t, lenient)
			}
		})
	}
}

// wantWarnings looks for warnings by place and name.
func wantWarnings(t *testing.T, f *config.NDPPD, warns string) {
	t.Helper()
	all := strings.Join(f.Warnings, "\n")
	for want := range strings.SplitSeq(warns, ", ") {
		if place, quirk, ok := strings.Cut(want, " "); ok && !strings.Contains(all, "ndppd.conf:"+place+": "+quirk+": ") {
			t.Errorf("no warning %s in %q", want, f.Warnings)
		}
	}
}

// TestNDPPDDocumented wants each quirk that a vector meets in the documentation.
func TestNDPPDDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/ndppd.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range ndppdVectors() {
		for part := range strings.SplitSeq(strings.Join([]string{v.quirks, v.fails, v.warns}, ", "), ", ") {
			if _, quirk, ok := strings.Cut(part, " "); ok && !strings.Contains(string(doc), "| `"+quirk+"` |") {
				t.Errorf("quirk %s has no row in docs/ndppd.md", quirk)
			}
		}
	}
}

// quirks shows errors as places and names.
func quirks(t *testing.T, err error) string {
	t.Helper()
	var es config.Errors
	if err != nil && !errors.As(err, &es) {
		t.Fatalf("error is %v", err)
	}
	var parts []string
	for _, e := range es {
		quirk, _, _ := strings.Cut(e.Message, ":")
		parts = append(parts, fmt.Sprintf("%d:%d %s", e.Line, e.Column, quirk))
	}
	return strings.Join(parts, ", ")
}

// roundTrip reads the YAML of a file, which has to come to the same.
func roundTrip(t *testing.T, f *config.NDPPD) {
	t.Helper()
	again, err := config.Parse("c.yaml", []byte(f.YAML()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, f.YAML())
	}
	if len(f.Config.Uplinks) == 0 {
		return // YAML without uplinks means those with a default route, and no rules
	}
	if d := cmp.Diff(f.Config, again, comparePrefixes); d != "" {
		t.Errorf("(-ndppd.conf +YAML):\n%s\n%s", d, f.YAML())
	}
}

// TestNDPPDWords tells of faults in the words of an ndppd.conf.
func TestNDPPDWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"proxy eth0 {\n}\n":                          `such as "rule 2001:db8:1::/64 { auto }"`,
		"proxy eth0 { rule " + p + " { iface lo } }": "write auto in place of iface, which answers for what the host itself has",
	} {
		f, err := config.ParseNDPPD("ndppd.conf", []byte(in), true)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Config.Complete(config.Host{Getenv: func(string) string { return "" }}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(append(f.Warnings, f.Config.Warnings...), "\n"); !strings.Contains(got, want) || strings.Contains(got, "empty list") {
			t.Errorf("%q: warnings are %q", in, got)
		}
	}
}

// TestNDPPDTunnel warns of devices on which nobody can be asked.
func TestNDPPDTunnel(t *testing.T) {
	t.Parallel()
	for device, want := range map[string]bool{"tun0": true, "wg12": true, "ppp0": true, "br0": false, "tuna": false, "tun": false, "vmbr0": false} {
		f, err := config.ParseNDPPD("ndppd.conf", []byte("proxy eth0 { rule "+p+" { iface "+device+" } }"), false)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(f.Warnings, "\n")
		if got := strings.Contains(text, "ndppd.conf:1:41: deviation: "+device+" looks like a tunnel"); got != want {
			t.Errorf("%s: warnings are %q", device, text)
		}
		if got := strings.Contains(f.YAML(), "# ndproxyd: deviation: "+device+" looks like a tunnel"); got != want {
			t.Errorf("%s: YAML is\n%s", device, f.YAML())
		}
	}
}

// TestNDPPDFiles reads files as people write them.
func TestNDPPDFiles(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(paths) == 0 {
		t.Fatal("no files")
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(strings.TrimSuffix(path, ".conf") + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			yaml, _, err := config.Convert(path, false)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), yaml); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := config.ParseNDPPD(path, data, false)
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, f)
			for _, c := range comments(string(data)) {
				if !strings.Contains(yaml, c) {
					t.Errorf("comment %q is lost", c)
				}
			}
		})
	}
}

// comments returns the comments of a file that has one a line.
func comments(text string) []string {
	var cs []string
	for line := range strings.Lines(text) {
		if _, c, ok := strings.Cut(line, "#"); ok {
			cs = append(cs, strings.TrimSpace(c))
		}
	}
	return slices.DeleteFunc(cs, func(s string) bool { return s == "" })
}

// FuzzNDPPD wants an end, and no more from a strict reading than from a lenient
// one; and YAML that comes to the same.
func FuzzNDPPD(f *testing.F) {
	for _, v := range ndppdVectors() {
		f.Add(v.data())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		strict, err := config.ParseNDPPD("ndppd.conf", data, false)
		lenient, lenientErr := config.ParseNDPPD("ndppd.conf", data, true)
		if err == nil && (lenientErr != nil || show(strict.Config) != show(lenient.Config)) {
			t.Errorf("strict: %s, lenient: %v", show(strict.Config), lenientErr)
		}
		if lenientErr == nil {
			roundTrip(t, lenient)
		}
	})
}
