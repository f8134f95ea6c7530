// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestDAD asks whether duplicate address detection is defended where the uplink has
// the on-link prefix 2001:db8:1::/64.
func TestDAD(t *testing.T) {
	t.Parallel()
	const link, part, host = "2001:db8:1::/64", "2001:db8:1:0:f::/80", "2001:db8:1:0:f::5"
	rule := func(p string, m rules.Method, d rules.DADPolicy) rules.Rule {
		return rules.Rule{Prefix: prefix(p), Method: m, DAD: d}
	}
	named := rule(link, rules.Probe, rules.DADAuto)
	named.Devices = []string{"br0"}
	behind := func(p string) []rules.Entry {
		return []rules.Entry{{Prefix: prefix(p), Behind: true, Forwarded: true, Neighbor: true, Device: 7}}
	}
	chosen := [][]rules.Entry{nil, nil, nil, nil, {{Prefix: prefix(host + "/128"), Behind: true, Chosen: true}}}
	ofNode := [][]rules.Entry{nil, nil, nil, nil, {{Prefix: prefix(host + "/128"), NodeAddress: true}}}
	tests := []struct {
		name    string
		rule    rules.Rule
		entries [][]rules.Entry // by source
		guarded bool            // another station has claimed the address
		ignored bool
		silent  bool
	}{
		{name: "static for the on-link prefix", rule: rule(link, rules.Static, rules.DADAuto), ignored: true},
		{name: "static for more than that", rule: rule("2001:db8::/32", rules.Static, rules.DADAuto), ignored: true},
		{name: "static for all there is", rule: rule("::/0", rules.Static, rules.DADAuto), ignored: true},
		{name: "static for a part that was set aside", rule: rule(part, rules.Static, rules.DADAuto)},
		{name: "static for one address", rule: rule(host+"/128", rules.Static, rules.DADAuto)},
		{name: "static for another prefix", rule: rule("2001:db8:1:0:f::/80", rules.Static, rules.DADAuto)},
		{name: "the rule says defend", rule: rule(link, rules.Static, rules.DADDefend)},
		{name: "the rule says ignore", rule: rule(part, rules.Static, rules.DADIgnore), ignored: true},
		{name: "it says so for a host route, too", rule: rule(link, rules.Route, rules.DADIgnore), entries: [][]rules.Entry{behind(host + "/128")}, ignored: true},
		{name: "static, with a host route behind", rule: rule(link, rules.Static, rules.DADAuto), entries: [][]rules.Entry{behind(host + "/128")}},
		{name: "static, with a host route that leads back", rule: rule(link, rules.Static, rules.DADAuto), entries: [][]rules.Entry{{{Prefix: prefix(host + "/128"), Device: 2}}}, ignored: true},
		{name: "static, with a wider route behind", rule: rule(link, rules.Static, rules.DADAuto), entries: [][]rules.Entry{behind(part)}, ignored: true},
		{name: "a host route", rule: rule(link, rules.Route, rules.DADAuto), entries: [][]rules.Entry{behind(host + "/128")}},
		{name: "a route for a part of the prefix", rule: rule(link, rules.Route, rules.DADAuto), entries: [][]rules.Entry{behind(part)}, ignored: true},
		{name: "a target to be asked", rule: named, ignored: true},
		{name: "a target that has answered", rule: named, entries: [][]rules.Entry{nil, behind(host + "/128")}},
		{name: "an address of the host itself", rule: rule(link, rules.Route, rules.DADAuto), entries: [][]rules.Entry{{{Prefix: prefix(host + "/128"), Host: true, Device: 7}}}},
		{name: "static, with an address of the host itself", rule: rule(link, rules.Static, rules.DADAuto), entries: [][]rules.Entry{{{Prefix: prefix(host + "/128"), Host: true, Device: 7}}}},
		{name: "an AnyIP prefix of the host itself", rule: rule(link, rules.Route, rules.DADAuto), entries: [][]rules.Entry{{{Prefix: prefix(link), Host: true, Device: 7}}}, ignored: true},
		{name: "a pod", rule: rule(link, rules.Pods, rules.DADAuto), entries: [][]rules.Entry{nil, nil, behind(host + "/128")}},
		{name: "a node's prefix", rule: rule(link, rules.Node, rules.DADAuto), entries: [][]rules.Entry{nil, nil, nil, behind(part)}, ignored: true},
		{name: "a service", rule: rule(link, rules.Services, rules.DADAuto), entries: [][]rules.Entry{nil, nil, nil, nil, behind(host + "/128")}},
		{name: "a service with an address that somebody has chosen", rule: rule(link, rules.Services, rules.DADAuto), entries: chosen, ignored: true},
		{name: "such a service, and the rule sets a part aside", rule: rule(part, rules.Services, rules.DADAuto), entries: chosen},
		{name: "such a service, and the rule says defend", rule: rule(link, rules.Services, rules.DADDefend), entries: chosen},
		{name: "a service with the address of a node", rule: rule(part, rules.Services, rules.DADDefend), entries: ofNode, silent: true},
		{name: "a static address that another station has", rule: rule(link, rules.Static, rules.DADAuto), entries: [][]rules.Entry{behind(host + "/128")}, guarded: true, silent: true},
		{name: "no evidence", rule: rule(link, rules.Route, rules.DADAuto), silent: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onLink := func(s *rules.Store) { s.SetOnLink("eth0", []netip.Prefix{prefix(link)}) }
			guard := func(s *rules.Store) {
				if tt.guarded {
					s.SetGuards("eth0", map[netip.Addr]rules.Silence{addr(host): rules.Claimed})
				}
			}
			for order, steps := range map[string][]func(*rules.Store){ // the result is the same
				"rules first": {setting(t, []rules.Rule{tt.rule}), onLink, entering(tt.entries...), guard},
				"rules last":  {entering(tt.entries...), guard, onLink, setting(t, []rules.Rule{tt.rule})},
				"once more":   {onLink, setting(t, []rules.Rule{tt.rule}), onLink, entering(tt.entries...), guard, setting(t, []rules.Rule{tt.rule})},
			} {
				var s rules.Store
				s.ResolveDevices(func(string) int32 { return 7 })
				for _, step := range steps {
					step(&s)
				}
				v := s.Load().View("eth0").Find(addr(host))
				if v == nil || v.Hears() == tt.silent || v.IgnoreDAD != tt.ignored {
					t.Errorf("%s: verdict is %+v", order, v)
				}
				if v := s.Load().View("eth1").Find(addr(host)); tt.rule.DAD != rules.DADIgnore && v.IgnoreDAD {
					t.Errorf("%s: an uplink without the prefix has %+v", order, v)
				}
			}
		})
	}
}

// TestStaticPartIsNotAnnounced has a host route appear inside of a static rule, which
// answers with and without it.
func TestStaticPartIsNotAnnounced(t *testing.T) {
	t.Parallel()
	var s rules.Store
	setRules(t, &s, rules.Rule{Prefix: prefix("2001:db8:1::/64"), Method: rules.Static})
	s.SetOnLink("eth0", []netip.Prefix{prefix("2001:db8:1::/64")})
	s.Follow(func(c rules.Change) {
		for _, d := range c.Deltas("eth0") {
			if d.Before.Announced() || d.After.Announced() {
				t.Errorf("announced: %+v", d)
			}
		}
	})
	s.Update(rules.Kernel, []rules.EntryChange{{Entry: rules.Entry{Prefix: prefix("2001:db8:1::5/128"), Behind: true, Forwarded: true, Device: 7}}})
	if v := s.Load().View("eth0").Find(addr("2001:db8:1::5")); v == nil || v.IgnoreDAD || !v.Part {
		t.Errorf("verdict is %+v", v)
	}
}
