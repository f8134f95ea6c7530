// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestFile answers for what the rule's own file lists inside of the rule.
func TestFile(t *testing.T) {
	t.Parallel()
	const vms, panel = "/etc/vms", "/run/panel"
	file := func(p, path string, uplinks ...string) rules.Rule {
		return rules.Rule{Prefix: prefix(p), Method: rules.File, Targets: path, Uplinks: uplinks}
	}
	in := func(p string, paths ...string) rules.Entry {
		return rules.Entry{Prefix: prefix(p), Behind: true, Lists: rules.ListsOf(paths...)}
	}
	claimed := map[netip.Addr]rules.Silence{addr("2001:db8::5"): rules.Claimed}
	tests := []struct {
		name    string
		rules   []rules.Rule
		entries []rules.Entry
		claimed map[netip.Addr]rules.Silence
		uplink  string
		target  string
		answer  bool
		silence rules.Silence
	}{
		{name: "listed", rules: []rules.Rule{file("2001:db8::/64", vms)}, entries: []rules.Entry{in("2001:db8::5/128", vms)}, target: "2001:db8::5", answer: true},
		{name: "in a listed prefix", rules: []rules.Rule{file("2001:db8::/64", vms)}, entries: []rules.Entry{in("2001:db8::/80", vms)}, target: "2001:db8::5", answer: true},
		{name: "the rule's own prefix", rules: []rules.Rule{file("2001:db8::/64", vms)}, entries: []rules.Entry{in("2001:db8::/64", vms)}, target: "2001:db8::5", answer: true},
		{name: "not listed", rules: []rules.Rule{file("2001:db8::/64", vms)}, entries: []rules.Entry{in("2001:db8::5/128", vms)}, target: "2001:db8::6", silence: rules.NotListed},
		{name: "wider than the rule", rules: []rules.Rule{file("2001:db8::/64", vms)}, entries: []rules.Entry{in("2001::/6", vms), in("2001:db8::/48", vms)}, target: "2001:db8::5", silence: rules.NotListed},
		{name: "in another file", rules: []rules.Rule{file("2001:db8::/64", vms)}, entries: []rules.Entry{in("2001:db8::5/128", panel)}, target: "2001:db8::5", silence: rules.NotListed},
		{name: "in both files", rules: []rules.Rule{file("2001:db8::/64", vms)}, entries: []rules.Entry{in("2001:db8::5/128", panel, vms)}, target: "2001:db8::5", answer: true},
		{
			name: "exact in another file, in a prefix of this one", rules: []rules.Rule{file("2001:db8::/64", vms)},
			entries: []rules.Entry{in("2001:db8::5/128", panel), in("2001:db8::/80", vms)}, target: "2001:db8::5", answer: true,
		},
		{
			name: "a file for each uplink", rules: []rules.Rule{file("2001:db8::/64", vms, "eth0"), file("2001:db8::/64", panel, "eth1")},
			entries: []rules.Entry{in("2001:db8::5/128", panel)}, uplink: "eth0", target: "2001:db8::5", silence: rules.NotListed,
		},
		{
			name: "a file for each uplink, the other one", rules: []rules.Rule{file("2001:db8::/64", vms, "eth0"), file("2001:db8::/64", panel, "eth1")},
			entries: []rules.Entry{in("2001:db8::5/128", panel)}, uplink: "eth1", target: "2001:db8::5", answer: true,
		},
		{
			name: "a deny rule inside", rules: []rules.Rule{file("2001:db8::/64", vms), {Prefix: prefix("2001:db8::5/128"), Method: rules.Deny}},
			entries: []rules.Entry{in("2001:db8::5/128", vms)}, target: "2001:db8::5", silence: rules.Denied,
		},
		{
			name: "claimed, and listed by itself", rules: []rules.Rule{file("2001:db8::/64", vms)}, claimed: claimed, uplink: "eth0",
			entries: []rules.Entry{in("2001:db8::5/128", vms)}, target: "2001:db8::5", answer: true,
		},
		{
			name: "claimed, and in a listed prefix", rules: []rules.Rule{file("2001:db8::/64", vms)}, claimed: claimed, uplink: "eth0",
			entries: []rules.Entry{in("2001:db8::/80", vms)}, target: "2001:db8::5", silence: rules.Claimed,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s rules.Store
			setRules(t, &s, tt.rules...)
			s.Replace(rules.Listed, slices.Values(tt.entries))
			s.SetGuards("eth0", tt.claimed)
			v := s.Load().View(tt.uplink).Find(addr(tt.target))
			if v == nil || v.Announced() != tt.answer || v.Answer != tt.answer || v.Silence != tt.silence {
				t.Errorf("got %+v", v)
			}
		})
	}
}

// TestFileOnSameLink leaves what the kernel routes to a device on the uplink's own link
// to who is there and answers itself, whatever comes first.
func TestFileOnSameLink(t *testing.T) {
	t.Parallel()
	const shim = 7
	route := func(s *rules.Store) {
		s.Update(rules.Kernel, []rules.EntryChange{
			{Entry: rules.Entry{Prefix: prefix("2001:db8::/112"), Device: shim}},
		})
	}
	list := func(s *rules.Store) {
		s.Update(rules.Listed, []rules.EntryChange{
			{Entry: rules.Entry{Prefix: prefix("2001:db8::/96"), Behind: true, Lists: rules.ListsOf("/t")}},
			{Entry: rules.Entry{Prefix: prefix("2001:db8::5/128"), Behind: true, Lists: rules.ListsOf("/t")}},
		})
	}
	rule := func(s *rules.Store) {
		if err := s.SetRules([]rules.Rule{{Prefix: prefix("2001:db8::/64"), Method: rules.File, Targets: "/t", Uplinks: []string{"eth0"}}}); err != nil {
			t.Error(err)
		}
	}
	for name, steps := range map[string][]func(*rules.Store){
		"the rule first": {rule, list, route}, "the route first": {route, rule, list}, "the rule last": {list, route, rule},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s rules.Store
			s.ResolveLinks(func(_ string, device int32) (same, own bool) { return device == shim, false })
			for _, step := range steps {
				step(&s)
			}
			for target, want := range map[string]rules.Silence{"2001:db8::5": rules.SameLink, "2001:db8::7": rules.SameLink, "2001:db8::1:5": rules.NotSilent, "2001:db8:0:0:1::": rules.NotListed} {
				if v := s.Load().View("eth0").Find(addr(target)); v == nil || v.Silence != want || v.Answer != (want == rules.NotSilent) {
					t.Errorf("%s: %+v, want %s", target, v, want)
				}
			}
		})
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	if rules.ListsOf("/b", "/a", "/b") != rules.ListsOf("/a", "/b") || rules.ListsOf() != (rules.Lists{}) {
		t.Error("sets of the same files differ")
	}
	l := rules.ListsOf("/a", "/ab")
	for path, want := range map[string]bool{"/a": true, "/ab": true, "/b": false, "b": false, "": false, "/abc": false} {
		if l.Has(path) != want {
			t.Errorf("Has(%q) is %t", path, !want)
		}
	}
	var s rules.Store
	s.Update(rules.Listed, []rules.EntryChange{{Entry: rules.Entry{Prefix: prefix("2001:db8::5/128"), Lists: l}}})
	if e, ok := s.Entry(rules.Listed, addr("2001:db8::5")); !ok || e.Lists != l {
		t.Errorf("the store returns %+v", e)
	}
}

// TestTargetsOfRules wants a file with the method that reads one, and with no other.
func TestTargetsOfRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		rule rules.Rule
		want string
	}{
		{"right", rules.Rule{Method: rules.File, Targets: "/etc/ndproxyd/targets"}, ""},
		{"no file", rules.Rule{Method: rules.File}, "the method file needs targets"},
		{"another method", rules.Rule{Method: rules.Static, Targets: "/etc/x"}, "targets go with the method file only"},
		{"relative", rules.Rule{Method: rules.File, Targets: "targets"}, "is not an absolute path"},
		{"NUL", rules.Rule{Method: rules.File, Targets: "/etc/\x00"}, "is not an absolute path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.rule.Prefix = prefix("2001:db8::/64")
			switch err := tt.rule.Validate(); {
			case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
