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

// ndppdVectors are files with what they come to. ⏎ is a line end.
func ndppdVectors() []ndppdVector {
	const (
		ok   = "eth0 R=true; " + p + " static"
		idle = "eth0 R=true"
	)
	proxy := func(rule string) string { return "proxy eth0 {⏎ " + rule + "⏎}" }
	return []ndppdVector{
		{name: "1 on one line", in: "proxy eth0 { rule P { static } }", want: ok},
		{name: "2 quoted proxy", in: `proxy "eth0" {⏎ rule P {⏎ static⏎ }⏎}`, quirks: "1:12 quote, 2:2 level", warns: "5:1 brace", lenient: idle},
		{name: "3 quoted rule", in: `proxy eth0 {⏎ rule "P" {⏎ static⏎ }⏎}`, fails: "2:2 methods"},
		{name: "5 brace on the next line", in: proxy("rule P⏎ {⏎ static⏎ }"), fails: "2:2 methods"},
		{name: "6 semicolons", in: proxy("router no;⏎ rule P {⏎ static;⏎ }"), warns: "2:11 semicolon, 4:8 semicolon", want: "eth0 R=false; " + p + " static"},
		{name: "6b yes with a semicolon is no", in: proxy("router yes;⏎ rule P { static }"), quirks: "2:12 semicolon", lenient: "eth0 R=false; " + p + " static"},
		{name: "8 missing brace", in: "proxy eth0 {⏎ rule P { static }", fails: "1:12 brace"},
		{name: "9 leading brace", in: "}⏎proxy eth0 { rule P { static } }", quirks: "1:1 brace", lenient: ""},
		{name: "11 address of letters", in: proxy("rule xxx/112 { static }"), quirks: "2:7 address", lenient: idle},
		{name: "12 asterisk", in: proxy("rule * { static }"), quirks: "2:7 address", lenient: idle},
		{name: "14 length 200", in: proxy("rule 2001:db8:1:0:8::77/200 { static }"), quirks: "2:26 length", lenient: "eth0 R=true; 2001:db8:1:0:8::77/128 static"},
		{name: "15 IPv4-mapped", in: proxy("rule ::ffff:192.0.2.1 { static }"), quirks: "2:7 address", lenient: idle},
		{name: "16 no method", in: proxy("rule P { }"), fails: "2:2 methods"},
		{name: "17 two methods", in: proxy("rule P {⏎ auto⏎ iface br0⏎ }"), fails: "2:2 methods"},
		{name: "18 two flags", in: proxy("rule P {⏎ static⏎ auto⏎ }"), fails: "2:2 methods"},
		{name: "19 comments", in: "# a⏎proxy eth0 { // b⏎ /* c */ rule P /* d⏎ e */ { static /*/ }⏎}", want: ok},
		{name: "21 unterminated comment", in: "proxy eth0 { rule P { static } }⏎/* and so on", want: ok},
		{name: "23 CRLF", in: "proxy eth0 {\r⏎ rule P {\r⏎ static\r⏎ }\r⏎}\r⏎", want: ok},
		{name: "24 equals signs", in: proxy("router = no⏎ rule=P {⏎ static⏎ }"), want: "eth0 R=false; " + p + " static"},
		{name: "25 unknown key", in: proxy("rooter no⏎ rule P { static }"), warns: "2:2 unknown", want: ok},
		{name: "27 on", in: proxy("router on⏎ rule P { static }"), quirks: "2:9 boolean", lenient: "eth0 R=false; " + p + " static"},
		{name: "28 bare router", in: proxy("router⏎ rule P { static }"), quirks: "2:2 boolean", lenient: "eth0 R=false; " + p + " static"},
		{name: "29 empty file", in: "", warns: "1:1 empty"},
		{name: "30 bare iface", in: proxy("rule P { iface⏎ }"), fails: "2:29 missing"},
		{name: "31 nameless proxy", in: "proxy {⏎ }", fails: "1:1 missing"},
		{name: "32 nameless rule", in: proxy("rule { static }"), fails: "2:2 missing"},
		{name: "33 upper-case key", in: "Proxy eth0 { rule P { static } }", quirks: "1:1 unknown", lenient: ""},
		{name: "34 upper-case value", in: proxy("router YES⏎ rule P { static }"), want: ok},
		{name: "35 host bits", in: proxy("rule 2001:db8:1:0:8::abcd/80 { static }"), want: ok},
		{name: "37 flag with a value", in: proxy("rule P { static no }"), quirks: "2:36 flag-value", lenient: ok},
		{name: "37b flags on one line", in: proxy("rule P { static auto }"), quirks: "2:36 flag-value", lenient: ok},
		{name: "38 two sections", in: "proxy eth0 { rule P { static } }⏎proxy eth0 { rule 2001:db8:9::/64 { auto } }", want: ok + "; 2001:db8:9::/64 route"},
		{name: "39 IPv4", in: proxy("rule 192.0.2.0/24 { static }"), quirks: "2:7 address", lenient: idle},
		{name: "40 zone", in: proxy("rule fe80::1%eth0 { static }"), quirks: "2:7 address", lenient: idle},
		{name: "40b link-local", in: proxy("rule fe80::/64 { static }"), quirks: "2:7 address", lenient: idle},
		{name: "42 upper-case flag", in: proxy("rule P { STATIC }"), fails: "2:2 methods"},
		{name: "43 byte order mark", in: "\xef\xbb\xbfproxy eth0 { rule P { static } }", fails: "1:1 byte"},
		{name: "44 umlaut in a key", in: proxy("rüle x"), fails: "2:3 byte"},
		{name: "45 umlaut in a comment", in: proxy("# ü⏎ rule P { static }"), want: ok},
		{name: "48 no spaces", in: "proxy eth0{rule P{static}}", want: ok},
		{name: "49 brace in a comment", in: "proxy eth0 # x {⏎", warns: "1:1 empty", want: idle},
		{name: "50 comment over two lines", in: "proxy eth0 /* x⏎ y */ { rule P { static } }", want: ok},
		{name: "51 colon", in: proxy("rule: P { static }"), fails: "2:2 methods"},
		{name: "52 two prefixes", in: proxy("rule P Q { static }"), fails: "2:2 methods"},
		{name: "54 two devices", in: proxy("rule P { iface br0 br1 }"), quirks: "2:39 unknown", lenient: "eth0 R=true; " + p + " probe br0"},
		{name: "56 rule in a rule", in: proxy("rule P { static⏎ rule 2001:db8::/64 { auto } }"), quirks: "3:2 level", lenient: ok},
		{name: "57 rule without a proxy", in: "rule P { static }", quirks: "1:1 level", lenient: ""},
		{name: "58 negative times", in: proxy("ttl -1⏎ timeout -1⏎ rule P { iface br0 }"), quirks: "2:6 integer, 3:10 integer", lenient: "eth0 R=true; " + p + " probe br0"},
		{name: "60 flag with a block", in: proxy("rule P { static { } }"), warns: "2:29 level", want: ok},
		{name: "62 quoted value at the end of a line", in: proxy("router \"no\"⏎ rule P { static }"), want: "eth0 R=false; " + p + " static"},
		{name: "63 NUL", in: "proxy eth0 { rule P { static } }\x00 more", quirks: "1:51 nul", lenient: ok},
		{name: "64 control character", in: "\x01proxy eth0 { }", fails: "1:1 byte"},
		{name: "65 form feed and vertical tab", in: "proxy\feth0\v{ rule P { static } }", want: ok},
		{name: "67 length with a zero", in: proxy("rule 2001:db8::/064 { static }"), want: "eth0 R=true; 2001:db8::/64 static"},
		{name: "67b length of many digits", in: proxy("rule 2001:db8::1/99999 { static }"), quirks: "2:19 length", lenient: "eth0 R=true; 2001:db8::1/128 static"},
		{name: "67c negative length", in: proxy("rule 2001:db8::1/-1 { static }"), quirks: "2:19 length", lenient: "eth0 R=true; 2001:db8::1/128 static"},
		{name: "67d length and a letter", in: proxy("rule 2001:db8::1/64x { static }"), quirks: "2:19 length", lenient: "eth0 R=true; 2001:db8::1/128 static"},
		{name: "67e slash without a length", in: proxy("rule 2001:db8::/ { static }"), quirks: "2:17 length", lenient: "eth0 R=true; ::/0 static"},
		{name: "67f length behind a space in quotes", in: proxy("rule '2001:db8::1 /64'⏎"), fails: "2:2 methods"},
		{name: "70 long name", in: "proxy abcdefghijklmnopqrst { rule P { static } }", fails: "1:7 device"},
		{name: "71 the proxy's own interface", in: proxy("rule P { iface eth0 }"), quirks: "2:35 device", lenient: idle},
		{name: "72 static below auto", in: proxy("rule 2001:db8::/80 { auto }⏎ rule 2001:db8::/96 { static }"), want: "eth0 R=true; 2001:db8::/80 route; 2001:db8::/96 static"},
		{name: "auto below static", in: proxy("rule 2001:db8::/96 { auto }⏎ rule 2001:db8::/80 { static }"), want: "eth0 R=true; 2001:db8::/80 static"},
		{name: "one prefix on two devices", in: proxy("rule P { iface br0 }⏎ rule P { iface br1 }"), want: "eth0 R=true; " + p + " probe br0,br1"},
		{name: "timing", in: proxy("ttl 60000⏎ timeout 200⏎ deadtime 1000⏎ retries 2⏎ rule P { iface br0 }"), want: "eth0 R=true; " + p + " probe br0 ttl=1m0s timeout=200ms deadtime=1s retries=2"},
		{name: "timing out of bounds", in: proxy("ttl 10⏎ timeout 60000⏎ deadtime 30000⏎ retries 0⏎ rule P { iface br0 }"), want: "eth0 R=true; " + p + " probe br0 ttl=1s timeout=2s deadtime=3s retries=-1"},
		{name: "autowire", in: proxy("autowire yes⏎ rule P { iface br0⏎ autovia yes }"), want: "eth0 R=true; " + p + " probe br0 autowire"},
		{name: "key twice", in: proxy("router no⏎ router yes⏎ rule P { static }"), quirks: "3:2 twice", lenient: "eth0 R=false; " + p + " static"},
		{name: "number with a unit", in: proxy("ttl 30s⏎ rule P { iface br0 }"), quirks: "2:6 integer", lenient: "eth0 R=true; " + p + " probe br0 ttl=1s timeout=0s deadtime=0s retries=0"},
		{name: "number of letters", in: proxy("ttl long⏎ rule P { iface br0 }"), quirks: "2:6 integer", lenient: "eth0 R=true; " + p + " probe br0 ttl=1s timeout=0s deadtime=0s retries=0"},
		{name: "zeros", in: proxy("ttl 0⏎ timeout 0⏎ deadtime 0⏎ rule P { iface br0 }"), want: "eth0 R=true; " + p + " probe br0 ttl=1s timeout=10ms deadtime=-1ns retries=0"},
		{name: "quoted key", in: proxy("\"static\"⏎ rule P { static }"), warns: "2:2 unknown", want: ok},
		{name: "comment behind a quote", in: proxy("router \"no\" # for now⏎ rule P { static }"), want: "eth0 R=false; " + p + " static"},
		{name: "number too large", in: proxy("ttl 99999999999999999999⏎ rule P { static }"), quirks: "2:6 integer", lenient: ok},
		{name: "semicolon behind a section", in: "proxy eth0 {⏎ rule P {⏎  static⏎ };⏎};⏎", warns: "4:3 semicolon, 5:2 semicolon", want: ok},
		{name: "comma behind a section", in: "proxy eth0 {⏎ rule P { static },⏎}", warns: "2:37 semicolon", want: ok},
		{name: "semicolon before the next section", in: "proxy eth0 { rule P { static } }; proxy eth1 { rule P { static } }", warns: "1:51 semicolon", want: "eth0 R=true; eth1 R=true; " + p + " static; " + p + " static"},
		{name: "semicolon and no space", in: "proxy eth0 { rule P { static } };proxy eth1 { rule P { static } }", quirks: "1:58 unknown", warns: "1:51 unknown", lenient: ok},
		{name: "router in a rule", in: proxy("rule P {⏎  static⏎  router no⏎ }"), warns: "4:3 level", want: ok},
		{name: "ttl above all sections", in: "ttl 30000⏎proxy eth0 { rule P { static } }", warns: "1:1 level", want: ok},
		{name: "route-ttl in a proxy", in: proxy("route-ttl 30000⏎ rule P { static }"), warns: "2:2 level", want: ok},
		{name: "method in a proxy", in: proxy("auto⏎ rule P { static }"), warns: "2:2 level", want: ok},
		{name: "unknown section", in: proxy("rules P {⏎  static⏎ }"), quirks: "2:2 unknown", lenient: idle},
		{name: "empty unknown section", in: proxy("options {⏎ }⏎ rule P { static }"), warns: "2:2 unknown", want: ok},
		{name: "empty proxy", in: "proxy eth0 {}", warns: "1:1 empty", want: idle},
		{name: "empty proxy beside another", in: "proxy eth1 {⏎}⏎proxy eth0 { rule P { static } }", want: "eth1 R=true; " + ok},
		{name: "comments alone", in: "# nothing yet⏎", warns: "1:1 empty"},
		{name: "brace at the end", in: "proxy eth0 { rule P { static } }⏎}⏎# end⏎", warns: "2:1 brace", want: ok},
		{name: "brace before a section", in: "proxy eth0 { rule P { static } }⏎}⏎proxy eth1 { rule P { static } }", quirks: "2:1 brace", lenient: ok},
		{name: "NUL at the end", in: "proxy eth0 { rule P { static } }⏎\x00\x00", warns: "2:1 nul", want: ok},
		{name: "key twice with one value", in: proxy("router no⏎ router no⏎ rule P { static }"), warns: "3:2 twice", want: "eth0 R=false; " + p + " static"},
		{name: "off", in: proxy("router off⏎ rule P { static }"), warns: "2:9 boolean", want: "eth0 R=false; " + p + " static"},
		{name: "flag with a yes", in: proxy("rule P {⏎  static yes;⏎ }"), warns: "3:10 flag-value", want: ok},
		{name: "milliseconds", in: proxy("ttl 5000ms⏎ timeout 0200;⏎ rule P { iface br0 }"), warns: "2:6 integer, 3:14 semicolon", want: "eth0 R=true; " + p + " probe br0 ttl=5s timeout=200ms deadtime=0s retries=0"},
		{name: "semicolon in a prefix", in: proxy("rule 2001:db8::/80; { static }"), quirks: "2:18 length", lenient: "eth0 R=true; 2001:db8::/128 static"},
		{name: "semicolon in a device", in: proxy("rule P { iface br0; }"), quirks: "2:38 semicolon", lenient: "eth0 R=true; " + p + " probe br0;"},
		{name: "values without effect", in: "route-ttl 30s⏎proxy eth0 {⏎ keepalive on⏎ promiscuous yes;⏎ rule P { static }⏎}", warns: "1:11 integer, 3:12 boolean, 4:17 semicolon", want: ok},
		{name: "long device", in: proxy("rule P { iface abcdefghijklmnopqrst }"), quirks: "2:35 device", lenient: idle},
		{name: "loopback in a rule", in: proxy("rule P { iface lo }"), quirks: "2:35 device", lenient: idle},
		{name: "loopback", in: "proxy lo { rule P { static } }", quirks: "1:7 device", lenient: ""},
		{name: "deep blocks", in: strings.Repeat("a {", 200), fails: "1:303 brace"},
	}
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

func (v ndppdVector) data() []byte {
	return []byte(strings.ReplaceAll(strings.ReplaceAll(v.in, "P {", p+" {"), "⏎", "\n"))
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
