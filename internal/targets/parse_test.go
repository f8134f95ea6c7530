// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// words returns targets as text, in their order.
func words(l list) []string {
	var ws []string
	for _, t := range l {
		ws = append(ws, strings.TrimSuffix(t.prefix().String(), "/128"))
	}
	return ws
}

// lines returns faults as text.
func lines(faults []Fault) []string {
	var ls []string
	for _, f := range faults {
		ls = append(ls, fmt.Sprintf("%d: %s", f.Line, f.Text))
	}
	return ls
}

func TestParse(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLine)
	tests := []struct {
		name, in string
		want     []string
		last     string // of a last line without line break
		faults   []string
	}{
		{name: "empty"},
		{name: "addresses and prefixes", in: "2001:db8::2\n2001:db8:1::/64\n2001:db8::1/128\n", want: []string{"2001:db8::1", "2001:db8::2", "2001:db8:1::/64"}},
		{name: "comments and blanks", in: "# VMs\n\n  \t\n 2001:db8::1\t# web\n#2001:db8::2\n2001:db8::3#x\n", want: []string{"2001:db8::1", "2001:db8::3"}},
		{name: "Windows", in: "\ufeff2001:db8::1\r\n\r\n2001:db8::2\r\n", want: []string{"2001:db8::1", "2001:db8::2"}},
		{name: "twice", in: "2001:db8::1\n2001:DB8:0::1\n2001:db8::1/128\n", want: []string{"2001:db8::1"}},
		{name: "last line", in: "2001:db8::1\n2001:db8::12", want: []string{"2001:db8::1"}, last: "2001:db8::12"},
		{name: "last line of spaces", in: "2001:db8::1\n  ", want: []string{"2001:db8::1"}},
		{name: "last line is a comment", in: "2001:db8::1\n# 2001:db8::2", want: []string{"2001:db8::1"}},
		{
			name: "wrong lines keep the others", in: "nonsense\n2001:db8::1\n192.0.2.1\n2001:db8::5/64\n2001:db8::1 web\n2001:db8::1,2001:db8::2\nfe80::1\nff02::1\n2001:db8::1%eth0\n2001:db8::2\n",
			want: []string{"2001:db8::1", "2001:db8::2"},
			faults: []string{
				`1: "nonsense" is not an IPv6 prefix (example: "2001:db8:1::/64"): correct the line or remove it`,
				`3: "192.0.2.1/32" is IPv4: neighbor discovery answers for IPv6 only: remove the line`,
				`4: "2001:db8::5/64" has host bits set: write "2001:db8::5" for the address, or "2001:db8::/64" for all of the prefix`,
				`5: "2001:db8::1 web" is more than one word: write one address or prefix a line, and begin comments with #`,
				`6: "2001:db8::1,2001:db8::2" is more than one word: write one address or prefix a line, and begin comments with #`,
				`7: "fe80::1/128" is link-local: it is never answered for, each station of the link defends its own: remove the line`,
				`8: "ff02::1/128" is multicast: it is never answered for (RFC 4861 §7.1.1): remove the line`,
				`9: "2001:db8::1%eth0" names a zone: leave out "%eth0" and use the rule's uplinks: correct the line or remove it`,
			},
		},
		{
			name: "cut off in its length", in: "2001:db8:0:1::/6\n2001:db8:0:1:2::/8\n2001:db8:1::/4\n",
			faults: []string{
				`1: "2001:db8:0:1::/6" has host bits set: write "2001:db8:0:1::" for the address, or "2000::/6" for all of the prefix`,
				`2: "2001:db8:0:1:2::/8" has host bits set: write "2001:db8:0:1:2::" for the address, or "2000::/8" for all of the prefix`,
				`3: "2001:db8:1::/4" has host bits set: write "2001:db8:1::" for the address, or "2000::/4" for all of the prefix`,
			},
		},
		{name: "cut off last line", in: "2001:db8:0:1::/", faults: nil},
		{
			name: "long lines", in: "# " + long + long + "\n" + long + "\n2001:db8::1 #" + long + "\n2001:db8::2\n", want: []string{"2001:db8::2"},
			faults: []string{
				`2: "` + long[:maxQuoted] + `"... is not an IPv6 address or prefix: correct the line or remove it`,
				`3: the line is longer than 4096 octets: write one address or prefix a line`,
			},
		},
		{
			name: "garbage", in: "\xff\xfe\x01\x02\n\x80\n2001:db8::1\n", want: []string{"2001:db8::1"},
			faults: []string{
				`1: "\xff\xfe\x01\x02" is not an IPv6 prefix (example: "2001:db8:1::/64"): correct the line or remove it`,
				`2: "\x80" is not an IPv6 prefix (example: "2001:db8:1::/64"): correct the line or remove it`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, from := range []struct {
				name string
				read func() (Reading, error)
			}{
				{"at once", func() (Reading, error) { return Parse(strings.NewReader(tt.in)) }},
				{"octet by octet", func() (Reading, error) { return Parse(iotest.OneByteReader(strings.NewReader(tt.in))) }},
			} {
				r, err := from.read()
				if err != nil {
					t.Fatal(err)
				}
				last := ""
				if r.hasLast {
					last = r.last.prefix().Addr().String()
				}
				if got := words(r.targets); !slices.Equal(got, tt.want) || last != tt.last {
					t.Errorf("%s: got %q and %q, want %q and %q", from.name, got, last, tt.want, tt.last)
				}
				if got := lines(r.Faults); !slices.Equal(got, tt.faults) || r.Wrong != len(tt.faults) {
					t.Errorf("%s: %d faults\n%s\nwant\n%s", from.name, r.Wrong, strings.Join(got, "\n"), strings.Join(tt.faults, "\n"))
				}
			}
		})
	}
}

// TestParseWhole refuses what is no text, or cannot be read.
func TestParseWhole(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"NUL":                   "2001:db8::1\n\x00\n",
		"NUL in a long comment": "#" + strings.Repeat("x", 3*buffered) + "\x00\n",
		"UTF-16":                "\xff\xfe2\x000\x000\x001\x00\n\x00",
		"hole at the beginning": strings.Repeat("\x00", 100) + "2001:db8::1\n",
	} {
		if _, err := Parse(strings.NewReader(in)); !errors.Is(err, errNotText) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	broken := errors.New("broken")
	if _, err := Parse(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
}

// TestParseBounds leaves out what is beyond the bounds, and says so.
func TestParseBounds(t *testing.T) {
	t.Parallel()
	const in = "2001:db8::1\n2001:db8::2\n# x\n2001:db8::3\n2001:db8::4\n"
	for _, tt := range []struct {
		name       string
		most, size int
		want       int
		fault      string
	}{
		{"within", 4, len(in), 4, ""},
		{"one too many", 3, len(in), 3, "5: the file has more than 3 targets: the rest is left out"},
		{"too long", 4, len(in) - 2, 3, "5: the file has more than 50 octets: the rest is left out"},
		{"too long in the middle of a line", 4, 20, 1, "2: the file has more than 20 octets: the rest is left out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := parse(strings.NewReader(in), tt.most, tt.size)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(lines(r.Faults), "\n"); len(r.targets) != tt.want || got != tt.fault || r.hasLast {
				t.Errorf("%d targets, faults %q", len(r.targets), got)
			}
		})
	}
	r, err := Parse(strings.NewReader(strings.Repeat("x\n", 1000)))
	if err != nil || r.Wrong != 1000 || len(r.Faults) != maxFaults {
		t.Errorf("%d faults, %d of them word by word, error %v", r.Wrong, len(r.Faults), err)
	}
}

// FuzzParse wants what is read to be what the lines say one by one.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "2001:db8::1\n", "\ufeff2001:db8::/64 # x\r\nnonsense\n2001:db8::5", "::/0\n::\n\x00", "2001:db8::/6"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := Parse(bytes.NewReader(in))
		if bytes.IndexByte(in, 0) >= 0 {
			if err == nil {
				t.Error("NUL was taken for text")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(r.targets, target.compare) {
			t.Error("not sorted")
		}
		all := bytes.SplitAfter(in, []byte("\n"))
		known := make(map[netip.Prefix]bool)
		for i, line := range all {
			if i == 0 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			if p, _ := parseLine(bytes.TrimSuffix(line, []byte("\n"))); p.IsValid() && bytes.HasSuffix(line, []byte("\n")) {
				known[p] = true
			}
		}
		if len(known) != len(r.targets) {
			t.Errorf("%d targets, want %d", len(r.targets), len(known))
		}
		for _, target := range r.targets {
			p := target.prefix()
			if p != p.Masked() || p.Addr().Is4() || p.Addr().IsMulticast() || !known[p] {
				t.Errorf("%s is a target", p)
			}
		}
	})
}
