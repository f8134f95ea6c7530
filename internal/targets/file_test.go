// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// epoch is when the tests of a file begin.
var epoch = time.Unix(1_000_000, 0)

// step is one look at a file, and what is in force after it.
type step struct {
	at      time.Duration
	in      string // as it is read; only the clock moves where it is idle
	err     error
	writing writing
	age     time.Duration // of the file
	want    string        // in force, in its order
}

const idle = "idle"

func TestFile(t *testing.T) {
	t.Parallel()
	const a, b, ab = "2001:db8::a\n", "2001:db8::b\n", "2001:db8::a\n2001:db8::b\n"
	const forceA, forceB, forceAB = "2001:db8::a", "2001:db8::b", "2001:db8::a 2001:db8::b"
	missing, denied := fs.ErrNotExist, fs.ErrPermission
	s := time.Second
	tests := []struct {
		name  string
		steps []step
	}{
		{"new lines count at once", []step{{0, a, nil, open, 0, forceA}, {1, ab, nil, open, 0, forceAB}}},
		{"what is gone from a file that was renamed goes at once", []step{{0, ab, nil, unknown, 0, forceAB}, {1, b, nil, renamed, 0, forceB}}},
		{"what is gone from a closed file goes after a while", []step{
			{0, ab, nil, unknown, 0, forceAB}, {1 * s, b, nil, closed, 0, forceAB}, {3*s - 1, idle, nil, closed, 0, forceAB}, {3 * s, idle, nil, closed, 0, forceB},
		}},
		{"what is gone from an open file goes later", []step{
			{0, ab, nil, unknown, 0, forceAB}, {1 * s, b, nil, open, 0, forceAB}, {10 * s, idle, nil, open, 0, forceAB}, {11 * s, idle, nil, open, 0, forceB},
		}},
		{"rewritten in place", []step{
			{0, ab, nil, unknown, 0, forceAB}, {1 * s, "", nil, open, 0, forceAB}, {20 * s, "", nil, open, 0, forceAB}, {21 * s, a, nil, open, 0, forceAB}, {22 * s, ab, nil, closed, 0, forceAB}, {60 * s, ab, nil, closed, 0, forceAB},
		}},
		{"each write begins the wait anew", []step{
			{0, ab, nil, unknown, 0, forceAB}, {1 * s, a, nil, closed, 0, forceAB}, {2 * s, a + "#\n", nil, closed, 0, forceAB}, {3 * s, idle, nil, closed, 0, forceAB}, {4 * s, idle, nil, closed, 0, forceA},
		}},
		{"the same content does not", []step{{0, ab, nil, unknown, 0, forceAB}, {1 * s, a, nil, closed, 0, forceAB}, {2 * s, a, nil, closed, 0, forceAB}, {3 * s, idle, nil, closed, 0, forceA}}},
		{"emptied", []step{{0, a, nil, unknown, 0, forceA}, {1 * s, "", nil, renamed, 0, forceA}, {31*s - 1, idle, nil, renamed, 0, forceA}, {31 * s, idle, nil, renamed, 0, ""}}},
		{"only a comment", []step{{0, a, nil, unknown, 0, forceA}, {1 * s, "# none\n", nil, closed, 0, forceA}, {31 * s, idle, nil, closed, 0, ""}}},
		{"gone", []step{{0, a, nil, unknown, 0, forceA}, {1 * s, "", missing, unknown, 0, forceA}, {5 * s, "", missing, unknown, 0, forceA}, {31 * s, "", missing, unknown, 0, ""}}},
		{"gone and back", []step{{0, ab, nil, unknown, 0, forceAB}, {1 * s, "", missing, unknown, 0, forceAB}, {30 * s, a, nil, renamed, 0, forceA}}},
		{"gone and back, empty", []step{{0, a, nil, unknown, 0, forceA}, {1 * s, "", missing, unknown, 0, forceA}, {30 * s, "", nil, open, 0, forceA}, {60 * s, idle, nil, open, 0, ""}}},
		{"never there", []step{{0, "", missing, unknown, 0, ""}, {5 * s, "", missing, unknown, 0, ""}, {50 * s, a, nil, unknown, 0, forceA}}},
		{"cannot be read", []step{{0, a, nil, unknown, 0, forceA}, {1 * s, "", denied, unknown, 0, forceA}, {9999 * s, "", denied, unknown, 0, forceA}, {10000 * s, b, nil, renamed, 0, forceB}}},
		{"cannot be read, then gone", []step{{0, a, nil, unknown, 0, forceA}, {1 * s, "", denied, unknown, 0, forceA}, {100 * s, "", missing, unknown, 0, forceA}, {129 * s, "", missing, unknown, 0, forceA}, {130 * s, "", missing, unknown, 0, ""}}},
		{"all wrong", []step{{0, a, nil, unknown, 0, forceA}, {1 * s, "<html>\n", nil, renamed, 0, forceA}, {9999 * s, idle, nil, renamed, 0, forceA}}},
		{"all wrong, without line break", []step{{0, a, nil, unknown, 0, forceA}, {1 * s, "<html>", nil, renamed, 0, forceA}, {9999 * s, idle, nil, renamed, 0, forceA}}},
		{"half a line", []step{{0, "2001:db8::a\n2001:db8::", nil, open, 0, forceA}, {1 * s, ab, nil, open, 0, forceAB}}},
		{"a last line that stays", []step{{0, ab[:len(ab)-1], nil, closed, 0, forceA}, {2 * s, idle, nil, closed, 0, forceAB}}},
		{"a last line while the file is open", []step{{0, ab[:len(ab)-1], nil, open, 0, forceA}, {9 * s, idle, nil, open, 0, forceA}, {10 * s, idle, nil, open, 0, forceAB}}},
		{"a last line of a file that was renamed", []step{{0, ab[:len(ab)-1], nil, renamed, 0, forceAB}}},
		{"a last line of an old file", []step{{0, ab[:len(ab)-1], nil, unknown, time.Hour, forceAB}}},
		{"a last line of a file from the future", []step{{0, ab[:len(ab)-1], nil, unknown, -time.Hour, forceA}, {2 * s, idle, nil, unknown, 0, forceAB}}},
		{"a last line alone", []step{{0, a[:len(a)-1], nil, closed, 0, ""}, {2 * s, idle, nil, closed, 0, forceA}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f file
			for i, s := range tt.steps {
				now, before := epoch.Add(s.at), strings.Join(words(f.force), " ")
				var changed bool
				if f.writing = s.writing; s.in == idle {
					changed = f.decide(now)
				} else {
					r, err := Parse(strings.NewReader(s.in))
					if err != nil {
						t.Fatal(err)
					}
					changed = f.observe(content{Reading: r, stamp: stamp{modified: now.Add(-s.age)}}, s.err, now)
				}
				got := strings.Join(words(f.force), " ")
				if got != s.want || changed != (got != before) {
					t.Fatalf("step %d: %q is in force, want %q; changed is %t", i, got, s.want, changed)
				}
				if at, ok := f.again(now); ok && !at.After(now) {
					t.Errorf("step %d: it is to be read again at once", i)
				}
			}
		})
	}
}

// TestAgain wants a file that may still change something to be looked at in time.
func TestAgain(t *testing.T) {
	t.Parallel()
	var f file
	if _, ok := f.again(epoch); ok {
		t.Error("a file that was never read is to be read again")
	}
	r, _ := Parse(strings.NewReader("2001:db8::a\n2001:db8::b"))
	f.writing = closed
	f.observe(content{Reading: r, stamp: stamp{modified: epoch}}, nil, epoch)
	if at, ok := f.again(epoch); !ok || at != epoch.Add(holdClosed) {
		t.Errorf("again at %v, %t", at, ok)
	}
	if _, ok := f.again(epoch.Add(holdClosed)); ok {
		t.Error("a complete file is to be read again")
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	rule, other := netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParsePrefix("2001:db8:2::5/128")
	tests := []struct {
		name                    string
		in                      string
		prefixes                []netip.Prefix
		targets, wrong, outside int
		faults                  []string
	}{
		{"right", "2001:db8:1::5\n2001:db8:1::/64\n2001:db8:2::5\n", []netip.Prefix{rule, other}, 3, 0, 0, nil},
		{"outside", "2001:db8:2::5\nnonsense\n2001:db8:1::5\n2001:db8::/32\n", []netip.Prefix{rule}, 1, 1, 2, []string{
			`1: 2001:db8:2::5 is outside of 2001:db8:1::/64, which the rules with this file cover: correct the line, or add a rule with this file`,
			`2: "nonsense" is not an IPv6 prefix (example: "2001:db8:1::/64"): correct the line or remove it`,
			`4: 2001:db8::/32 covers more than the rule for 2001:db8:1::/64: write 2001:db8:1::/64 if all of that is meant`,
		}},
		{"nested rules", "2001:db8:1::5\n2001:db8:1:1::/64\n2001:db8::5\n2001:db8:2::\n::1:0\n", []netip.Prefix{netip.MustParsePrefix("2001:db8:1:1::/64"), netip.MustParsePrefix("2001:db8:1::/48"), other}, 2, 0, 3, []string{
			`3: 2001:db8::5 is outside of 2001:db8:1:1::/64, 2001:db8:1::/48, 2001:db8:2::5/128, which the rules with this file cover: correct the line, or add a rule with this file`,
			`4: 2001:db8:2:: is outside of 2001:db8:1:1::/64, 2001:db8:1::/48, 2001:db8:2::5/128, which the rules with this file cover: correct the line, or add a rule with this file`,
			`5: ::1:0 is outside of 2001:db8:1:1::/64, 2001:db8:1::/48, 2001:db8:2::5/128, which the rules with this file cover: correct the line, or add a rule with this file`,
		}},
		{"last line", "2001:db8:1::5\n2001:db8:1::/6", []netip.Prefix{rule}, 1, 1, 0, []string{
			`2: "2001:db8:1::/6" has host bits set: write "2001:db8:1::" for the address, or "2000::/6" for all of the prefix`,
		}},
		{"many rules", "2001:db8:2::5\n", []netip.Prefix{rule, rule, rule, rule}, 0, 0, 1, []string{
			`1: 2001:db8:2::5 is outside of 2001:db8:1::/64, 2001:db8:1::/64, 2001:db8:1::/64, 1 more, which the rules with this file cover: correct the line, or add a rule with this file`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := Parse(strings.NewReader(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			var f file
			f.observe(content{Reading: r}, nil, epoch)
			got := f.facts("/t", tt.prefixes, epoch)
			if got.Targets != tt.targets || got.Wrong != tt.wrong || got.Outside != tt.outside || !slices.Equal(lines(got.Faults), tt.faults) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestManyFaults keeps the first faults of all kinds, and counts the rest.
func TestManyFaults(t *testing.T) {
	t.Parallel()
	r, err := Parse(strings.NewReader(strings.Repeat("2001:db8:2::5\nnonsense\n", 1) + strings.Repeat("x\n", 50)))
	if err != nil {
		t.Fatal(err)
	}
	var f file
	f.observe(content{Reading: r}, nil, epoch)
	got := f.facts("/t", []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/64")}, epoch)
	if len(got.Faults) != maxFaults || got.Faults[0].Line != 1 || got.Wrong != 51 || got.Outside != 1 {
		t.Errorf("got %+v", got)
	}
	if want := "/t:1: 2001:db8:2::5 is outside of 2001:db8:1::/64, which the rules with this file cover: correct the line, or add a rule with this file (and 51 more)"; got.Summary() != want {
		t.Errorf("summary is %q", got.Summary())
	}
}
