// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// fakeGroups is a device's groups without a device.
type fakeGroups struct {
	in    map[uint32]bool
	left  int
	limit int // joins beyond it fail; 0 is none
}

func (f *fakeGroups) join(g uint32) error {
	if f.limit > 0 && len(f.in) >= f.limit {
		return errors.New("no room")
	}
	if f.in[g] {
		return errors.New("joined twice")
	}
	f.in[g] = true
	return nil
}

func (f *fakeGroups) leave(g uint32) error {
	if !f.in[g] {
		return errors.New("left without joining")
	}
	delete(f.in, g)
	f.left++
	return nil
}

func (f *fakeGroups) close() error { return nil }

func decisions(prefixes ...string) []rules.Decision {
	var ds []rules.Decision
	for _, p := range prefixes {
		ds = append(ds, rules.Decision{Prefix: netip.MustParsePrefix(p), Verdict: rules.Verdict{Answer: true}})
	}
	return ds
}

func denied(p string) []rules.Decision {
	return []rules.Decision{{Prefix: netip.MustParsePrefix(p), Verdict: rules.Verdict{Silence: rules.Denied}}}
}

// world keeps what holds beside a membership.
type world struct {
	t     *testing.T
	m     *Membership
	holds map[netip.Prefix]rules.Verdict
}

func newWorld(t *testing.T, m *Membership) *world {
	return &world{t: t, m: m, holds: make(map[netip.Prefix]rules.Verdict)}
}

// apply makes decisions come and go together.
func (w *world) apply(added, removed []rules.Decision) error {
	w.t.Helper()
	changed := make(map[netip.Prefix]rules.Delta)
	for _, d := range removed {
		changed[d.Prefix] = rules.Delta{Prefix: d.Prefix, Before: d.Verdict}
		delete(w.holds, d.Prefix)
	}
	for _, d := range added {
		changed[d.Prefix] = rules.Delta{Prefix: d.Prefix, Before: changed[d.Prefix].Before, After: d.Verdict}
		w.holds[d.Prefix] = d.Verdict
	}
	var rs []rules.Rule
	for p, v := range w.holds {
		r := rules.Rule{Prefix: p, Method: rules.Static}
		if !v.Answer {
			r.Method = rules.Deny
		}
		rs = append(rs, r)
	}
	table, err := rules.Compile(rs)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.m.Apply(table.View(""), slices.Collect(maps.Values(changed)))
}

func TestMembership(t *testing.T) {
	t.Parallel()
	type step struct {
		added, removed []rules.Decision
		groups         int
		allMulti       bool
		unjoined       int
		left           int
		fails          bool
	}
	tests := []struct {
		name  string
		mode  rules.MembershipMode
		limit int
		steps []step
	}{
		{name: "one address", steps: []step{
			{added: decisions("2001:db8::5/128"), groups: 1},
			{removed: decisions("2001:db8::5/128"), left: 1},
		}},
		{name: "addresses with equal low 24 bits share a group", steps: []step{
			{added: decisions("2001:db8::5/128", "2001:db8:1::5/128"), groups: 1},
			{removed: decisions("2001:db8::5/128"), groups: 1},
			{removed: decisions("2001:db8:1::5/128"), left: 1},
		}},
		{name: "a group that is needed before and after is not left", steps: []step{
			{added: decisions("2001:db8::5/128"), groups: 1},
			{added: decisions("2001:db8:1::5/128"), removed: decisions("2001:db8::5/128"), groups: 1},
		}},
		{name: "auto joins a /120 and not a /119", steps: []step{
			{added: decisions("2001:db8::/120"), groups: 256},
			{added: decisions("2001:db8:1::/119"), groups: 256, allMulti: true, unjoined: 1},
			{removed: decisions("2001:db8:1::/119"), groups: 256},
		}},
		{name: "all-multicast ends with the last wide prefix", steps: []step{
			{added: decisions("2001:db8::/64", "2001:db8:1::/64"), allMulti: true, unjoined: 2},
			{removed: decisions("2001:db8::/64"), allMulti: true, unjoined: 1},
			{removed: decisions("2001:db8:1::/64")},
		}},
		{name: "join takes a /112 and is deaf for more", mode: rules.MembershipJoin, steps: []step{
			{added: decisions("2001:db8::/112"), groups: 65536},
			{added: decisions("2001:db8:1::/104"), groups: 65536, unjoined: 1},
			{removed: decisions("2001:db8:1::/104"), groups: 65536},
		}},
		{name: "allmulti joins nothing", mode: rules.MembershipAllMulti, steps: []step{
			{added: decisions("2001:db8::5/128"), allMulti: true},
			{removed: decisions("2001:db8::5/128")},
		}},
		{name: "none does nothing", mode: rules.MembershipNone, steps: []step{{added: decisions("2001:db8::/64")}}},
		{name: "deny needs no group", steps: []step{{added: denied("2001:db8::5/128")}}},
		{name: "answer that becomes deny", steps: []step{
			{added: decisions("2001:db8::5/128"), groups: 1},
			{added: denied("2001:db8::5/128"), removed: decisions("2001:db8::5/128"), left: 1},
			{added: decisions("2001:db8::5/128"), removed: denied("2001:db8::5/128"), groups: 1, left: 1},
		}},
		{name: "answer that changes otherwise", steps: []step{
			{added: decisions("2001:db8::5/128"), groups: 1},
			{added: decisions("2001:db8::5/128"), removed: decisions("2001:db8::5/128"), groups: 1},
			{removed: decisions("2001:db8::5/128"), left: 1},
		}},
		{name: "no room for the groups of a prefix", limit: 100, steps: []step{
			{added: decisions("2001:db8::/120"), allMulti: true, unjoined: 1, left: 100, fails: true},
			{removed: decisions("2001:db8::/120"), left: 100},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			groups := &fakeGroups{in: make(map[uint32]bool), limit: tt.limit}
			on := false
			m := newMembership(tt.mode, groups, func(b bool) error {
				if b == on {
					t.Errorf("all-multicast is %t already", b)
				}
				on = b
				return nil
			})
			w := newWorld(t, m)
			for i, s := range tt.steps {
				if err := w.apply(s.added, s.removed); (err != nil) != s.fails {
					t.Fatalf("step %d: %v", i, err)
				}
				st := m.Status()
				if st.Groups != s.groups || len(groups.in) != s.groups || st.AllMulti != s.allMulti || on != s.allMulti ||
					len(st.Unjoined) != s.unjoined || groups.left != s.left {
					t.Errorf("step %d: %+v, %d groups, %d left, all-multicast %t, want %+v", i, st, len(groups.in), groups.left, on, s)
				}
			}
		})
	}
}

// TestMembershipTotal keeps auto from more groups than the kernel can search.
func TestMembershipTotal(t *testing.T) {
	t.Parallel()
	groups := &fakeGroups{in: make(map[uint32]bool)}
	m := newMembership(rules.MembershipAuto, groups, func(bool) error { return nil })
	var ds []rules.Decision
	const extra = maxUnjoined + 4
	for i := range autoTotal + extra {
		a := netip.AddrFrom16([16]byte{0x20, 1, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
		ds = append(ds, rules.Decision{Prefix: netip.PrefixFrom(a, 128), Verdict: rules.Verdict{Answer: true}})
	}
	w := newWorld(t, m)
	if err := w.apply(ds, nil); err != nil {
		t.Fatal(err)
	}
	check := func(n, wide, unjoined int) {
		t.Helper()
		if st := m.Status(); st.Groups != n || st.AllMulti != (wide > 0) || st.Wide != wide || len(st.Unjoined) != unjoined {
			t.Errorf("%d groups, all-multicast %t, %d not joined, %d of them listed", st.Groups, st.AllMulti, st.Wide, len(st.Unjoined))
		}
	}
	check(autoTotal, extra, maxUnjoined)
	// A little room is not worth a look; with more, what stood outside comes in.
	if err := w.apply(nil, ds[:7]); err != nil {
		t.Fatal(err)
	}
	check(autoTotal-7, extra, maxUnjoined)
	if err := w.apply(nil, ds[7:autoTotal/2]); err != nil {
		t.Fatal(err)
	}
	check(autoTotal/2+extra, 0, 0)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMembershipClose ends all-multicast, as the listener may go on.
func TestMembershipClose(t *testing.T) {
	t.Parallel()
	on := false
	m := newMembership(rules.MembershipAuto, &fakeGroups{in: make(map[uint32]bool)}, func(b bool) error { on = b; return nil })
	if err := newWorld(t, m).apply(decisions("2001:db8::/64"), nil); err != nil || !on {
		t.Fatalf("all-multicast is %t, %v", on, err)
	}
	if err := m.Close(); err != nil || on {
		t.Errorf("all-multicast is %t, %v", on, err)
	}
}

func TestGroupRange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		prefix   string
		first, n uint32
	}{
		{"2001:db8::12:3456/128", 0x123456, 1},
		{"2001:db8::12:3400/120", 0x123400, 256},
		{"2001:db8::12:0/112", 0x120000, 65536},
		{"2001:db8::/104", 0, 1 << 24},
		{"::/0", 0, 1 << 24},
	}
	for _, tt := range tests {
		if first, n := groupRange(netip.MustParsePrefix(tt.prefix)); first != tt.first || n != tt.n {
			t.Errorf("%s: %#x, %d, want %#x, %d", tt.prefix, first, n, tt.first, tt.n)
		}
	}
	if got := SolicitedNode(0x123456).String(); got != "ff02::1:ff12:3456" {
		t.Errorf("group is %s", got)
	}
}
