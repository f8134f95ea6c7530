// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestWideRoutes looks at routes behind us that are no more specific than the uplink's
// on-link prefix 2001:db8:1::/64.
func TestWideRoutes(t *testing.T) {
	t.Parallel()
	const link, part, pod, far = "2001:db8:1::/64", "2001:db8:1:0:f::/80", "2001:db8:1:0:f::5", "2001:db8:1:f::5"
	rule := func(p string, m rules.Method, devices ...string) rules.Rule {
		return rules.Rule{Prefix: prefix(p), Method: m, Devices: devices, DAD: rules.DADDefend}
	}
	behind := func(p string) rules.Entry {
		return rules.Entry{Prefix: prefix(p), Behind: true, Forwarded: true, Neighbor: true, Device: 7}
	}
	router := func(p string) rules.Entry { // a next hop, or a device without neighbor discovery
		e := behind(p)
		e.Neighbor = false
		return e
	}
	host := func(p string) rules.Entry { return rules.Entry{Prefix: prefix(p), Host: true, Device: 1} }
	away := func(p string) rules.Entry { return rules.Entry{Prefix: prefix(p), Device: 2} }
	alive := rules.Entry{Prefix: prefix(pod + "/128"), Behind: true, Neighbor: true, Device: 7}
	free := rules.Entry{Prefix: prefix(pod + "/128"), Host: true}
	yes := rules.Verdict{Answer: true, Device: 7}
	ask := rules.Verdict{Probe: true, Contested: true, Device: 7}
	askLink := rules.Verdict{Probe: true, Contested: true, Host: true, Device: 1}
	noRoute, shared := rules.Verdict{Silence: rules.NoRoute}, rules.Verdict{Silence: rules.Shared}
	lives := rules.Verdict{Answer: true, Contested: true, Learned: true, Part: true, Device: 7}
	ours := rules.Verdict{Answer: true, Contested: true, Host: true, Learned: true, Part: true, Device: 1}
	claimed := rules.Verdict{Silence: rules.Claimed}
	whole := func(v rules.Verdict) rules.Verdict {
		v.Part = false
		return v
	}
	partly := func(v rules.Verdict) rules.Verdict {
		v.Part = true
		return v
	}
	tests := []struct {
		name    string
		rule    rules.Rule
		onLink  []string // link where nil
		entries []rules.Entry
		probed  []rules.Entry
		guarded bool
		target  string // pod where ""
		want    rules.Verdict
	}{
		{name: "the same prefix on a bridge", rule: rule(link, rules.Route), entries: []rules.Entry{behind(link)}, want: ask},
		{name: "the uplink's route is the better one", rule: rule(link, rules.Route), entries: []rules.Entry{away(link)}, want: noRoute},
		{name: "a wider prefix on a bridge", rule: rule(link, rules.Route), entries: []rules.Entry{behind("2001:db8::/32")}, want: ask},
		{name: "a part of it on a bridge", rule: rule(link, rules.Route), entries: []rules.Entry{away(link), behind(part)}, want: yes},
		{name: "a host route", rule: rule(link, rules.Route), entries: []rules.Entry{behind(link), behind(pod + "/128")}, want: yes},
		{name: "a part that leads away", rule: rule(link, rules.Route), entries: []rules.Entry{behind(link), away(part)}, want: noRoute},
		{name: "the prefix is not on-link", rule: rule(link, rules.Route), onLink: []string{"2001:db8:9::/64"}, entries: []rules.Entry{behind(link)}, want: yes},
		{name: "a narrower prefix is on-link", rule: rule(link, rules.Route), onLink: []string{part}, entries: []rules.Entry{behind(link)}, want: partly(ask)},
		{name: "beside that", rule: rule(link, rules.Route), onLink: []string{"2001:db8:1:0:e::/80"}, entries: []rules.Entry{behind(link)}, want: yes},
		{name: "two on-link prefixes, and a route between them", rule: rule(link, rules.Route), onLink: []string{link, part}, entries: []rules.Entry{away(link), behind("2001:db8:1:0:f::/72")}, want: partly(ask)},
		{name: "a rule for more than that", rule: rule("2001:db8::/32", rules.Route), entries: []rules.Entry{behind("2001:db8::/32")}, want: partly(ask)},
		{name: "beside the on-link prefix", rule: rule("2001:db8::/32", rules.Route), entries: []rules.Entry{behind("2001:db8::/32")}, target: far, want: yes},
		{name: "a rule for a part that was set aside", rule: rule(part, rules.Route), entries: []rules.Entry{behind(link)}, want: ask},
		{name: "a router behind", rule: rule(link, rules.Route), entries: []rules.Entry{router(link)}, want: shared},
		{name: "a router behind, for a part that was set aside", rule: rule(part, rules.Route), entries: []rules.Entry{router(link)}, want: yes},
		{name: "a rule that names the device", rule: rule(link, rules.Route, "br0"), entries: []rules.Entry{behind(link)}, want: ask},
		{name: "a rule that names another device", rule: rule(link, rules.Route, "br1"), entries: []rules.Entry{behind(link)}, want: noRoute},
		{name: "probe", rule: rule(link, rules.Probe), entries: []rules.Entry{behind(link)}, want: ask},
		{name: "probe, with a host route", rule: rule(link, rules.Probe), entries: []rules.Entry{behind(pod + "/128")}, want: rules.Verdict{Probe: true, Device: 7}},
		{name: "probe by name", rule: rule(link, rules.Probe, "br0"), entries: []rules.Entry{away(link)}, want: rules.Verdict{Probe: true, Contested: true}},
		{name: "probe by name, for a part that was set aside", rule: rule(part, rules.Probe, "br0"), entries: []rules.Entry{away(link)}, want: rules.Verdict{Probe: true}},
		{name: "probe by name, and the route leads to one that cannot be asked", rule: rule(link, rules.Probe, "br0"), entries: []rules.Entry{router(link)}, want: rules.Verdict{Probe: true, Contested: true}},
		{name: "it lives on the bridge", rule: rule(link, rules.Route), entries: []rules.Entry{behind(link)}, probed: []rules.Entry{alive}, want: lives},
		{name: "it lives on the bridge, and another station says it has it", rule: rule(link, rules.Route), entries: []rules.Entry{behind(link)}, probed: []rules.Entry{alive}, guarded: true, want: lives},
		{name: "it lived on the bridge, and the route leads away", rule: rule(link, rules.Route), entries: []rules.Entry{away(link)}, probed: []rules.Entry{alive}, want: noRoute},
		{name: "it lived on another bridge", rule: rule(link, rules.Route, "br0"), entries: []rules.Entry{behind(link)}, probed: []rules.Entry{{Prefix: alive.Prefix, Device: 8}}, want: ask},
		{name: "nobody has said so", rule: rule(link, rules.Route), entries: []rules.Entry{behind(link)}, guarded: true, want: claimed},
		{name: "AnyIP", rule: rule(link, rules.Route), entries: []rules.Entry{host(link)}, want: askLink},
		{name: "AnyIP, by probe", rule: rule(link, rules.Probe), entries: []rules.Entry{host(link)}, want: askLink},
		{name: "AnyIP in a part that was set aside", rule: rule(part, rules.Route), entries: []rules.Entry{host(link)}, want: askLink},
		{name: "AnyIP for a part", rule: rule(link, rules.Route), entries: []rules.Entry{host(part)}, want: rules.Verdict{Answer: true, Host: true, Device: 1}},
		{name: "an own address amid the link", rule: rule(link, rules.Route), entries: []rules.Entry{host(pod + "/128")}, want: askLink},
		{name: "an own address amid the link, beside a part on a bridge", rule: rule(link, rules.Route), entries: []rules.Entry{away(link), behind("2001:db8:1:0:e::/80"), host(pod + "/128")}, want: askLink},
		{name: "an own address in a part on a bridge", rule: rule(link, rules.Route), entries: []rules.Entry{away(link), behind(part), host(pod + "/128")}, want: rules.Verdict{Answer: true, Host: true, Device: 1}},
		{name: "an own address in a part that was set aside", rule: rule(part, rules.Route), entries: []rules.Entry{host(pod + "/128")}, want: rules.Verdict{Answer: true, Host: true, Device: 1}},
		{name: "an own address beside the link", rule: rule("2001:db8::/32", rules.Route), entries: []rules.Entry{host(far + "/128")}, target: far, want: rules.Verdict{Answer: true, Host: true, Device: 1}},
		{name: "an own address that nobody on the link has", rule: rule(link, rules.Route), entries: []rules.Entry{host(pod + "/128")}, probed: []rules.Entry{free}, want: whole(ours)},
		{name: "an own address that another station has", rule: rule(link, rules.Route), entries: []rules.Entry{host(pod + "/128")}, probed: []rules.Entry{free}, guarded: true, want: claimed},
		{name: "AnyIP, and nobody on the link has it", rule: rule(link, rules.Route), entries: []rules.Entry{host(link)}, probed: []rules.Entry{free}, want: ours},
		{name: "AnyIP, and somebody comes who has it", rule: rule(link, rules.Route), entries: []rules.Entry{host(link)}, probed: []rules.Entry{free}, guarded: true, want: claimed},
		{name: "AnyIP until a moment ago", rule: rule(link, rules.Route), entries: []rules.Entry{behind(link)}, probed: []rules.Entry{free}, want: ask},
		{name: "AnyIP now", rule: rule(link, rules.Route), entries: []rules.Entry{host(link)}, probed: []rules.Entry{alive}, want: askLink},
		{name: "static minds no routes", rule: rule(link, rules.Static), entries: []rules.Entry{behind(link)}, want: rules.Verdict{Answer: true}},
		{name: "a wide route tells nothing of pods", rule: rule(link, rules.Pods), entries: []rules.Entry{behind(link)}, want: rules.Verdict{Silence: rules.NotLocal}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onLink := func(s *rules.Store) {
				ps := []netip.Prefix{prefix(link)}
				if tt.onLink != nil {
					ps = nil
					for _, p := range tt.onLink {
						ps = append(ps, prefix(p))
					}
				}
				s.SetOnLink("eth0", ps)
			}
			guard := func(s *rules.Store) {
				if tt.guarded {
					s.SetGuards("eth0", map[netip.Addr]rules.Silence{addr(pod): rules.Claimed})
				}
			}
			target := pod
			if tt.target != "" {
				target = tt.target
			}
			for order, steps := range map[string][]func(*rules.Store){ // the result is the same
				"rules first": {setting(t, []rules.Rule{tt.rule}), onLink, entering(tt.entries, tt.probed), guard},
				"rules last":  {entering(tt.entries, tt.probed), guard, onLink, setting(t, []rules.Rule{tt.rule})},
				"link last":   {setting(t, []rules.Rule{tt.rule}), entering(tt.entries, tt.probed), guard, onLink},
			} {
				var s rules.Store
				s.ResolveDevices(func(name string) int32 { return map[string]int32{"br0": 7}[name] })
				for _, step := range steps {
					step(&s)
				}
				v := s.Load().View("eth0").Find(addr(target))
				if v == nil || *v != tt.want {
					t.Errorf("%s: verdict is %+v, want %+v", order, v, tt.want)
				}
			}
		})
	}
}

// TestProbes follows whether anything has to be asked.
func TestProbes(t *testing.T) {
	t.Parallel()
	var s rules.Store
	link := prefix("2001:db8:1::/64")
	wide := rules.Entry{Prefix: link, Behind: true, Forwarded: true, Neighbor: true, Device: 7}
	for i, step := range []struct {
		do   func()
		want bool
	}{
		{func() { setRules(t, &s, rules.Rule{Prefix: link, Method: rules.Route}) }, false},
		{func() { s.SetOnLink("eth0", []netip.Prefix{link}) }, false},
		{func() { s.Update(rules.Kernel, []rules.EntryChange{{Entry: wide}}) }, true},
		{func() {
			s.Update(rules.Probed, []rules.EntryChange{{Entry: rules.Entry{Prefix: prefix("2001:db8:1::5/128"), Behind: true, Device: 7}}})
		}, true},
		{func() { s.SetGuards("eth1", map[netip.Addr]rules.Silence{addr("2001:db8:1::5"): rules.NextHop}) }, true},
		{func() { s.SetOnLink("eth0", nil) }, false},
		{func() { s.SetOnLink("eth0", []netip.Prefix{link}) }, true},
		{func() { setRules(t, &s, rules.Rule{Prefix: link, Method: rules.Route}) }, true},
		{func() { s.Update(rules.Kernel, []rules.EntryChange{{Entry: wide, Gone: true}}) }, false},
		{func() { setRules(t, &s, rules.Rule{Prefix: link, Method: rules.Probe, Devices: []string{"br0"}}) }, true},
		{func() { setRules(t, &s, rules.Rule{Prefix: link, Method: rules.Static}) }, false},
	} {
		step.do()
		if got := s.Load().Probes(); got != step.want {
			t.Fatalf("step %d: probes is %t", i, got)
		}
	}
}

// TestLinks lists the uplinks of a prefix.
func TestLinks(t *testing.T) {
	t.Parallel()
	var s rules.Store
	setRules(t, &s, rules.Rule{Prefix: prefix("2001:db8::/32"), Method: rules.Route})
	s.SetOnLink("eth1", []netip.Prefix{prefix("2001:db8:1::/64"), prefix("2001:db8:2::/64")})
	before := s.Load()
	s.SetOnLink("eth0", []netip.Prefix{prefix("2001:db8:1::/64")})
	for a, want := range map[string][]string{"2001:db8:1::5": {"eth0", "eth1"}, "2001:db8:2::5": {"eth1"}, "2001:db8:3::5": nil} {
		if got := s.Load().Links(addr(a)); !slices.Equal(got, want) {
			t.Errorf("%s is on the links of %v, want %v", a, got, want)
		}
	}
	if got := before.Links(addr("2001:db8:1::5")); !slices.Equal(got, []string{"eth1"}) || before.SameOnLink(s.Load()) || !before.SameOnLink(before) {
		t.Errorf("the table before has %v", got)
	}
}
