// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// comparePrefixes makes cmp compare prefixes as a whole.
var comparePrefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestDiff(t *testing.T) {
	t.Parallel()
	keep := rules.Rule{Prefix: prefix("2001:db8::/64"), Method: rules.Static}
	gone := rules.Rule{Prefix: prefix("2001:db8:1::/64"), Method: rules.Static}
	come := rules.Rule{Prefix: prefix("2001:db8:2::/64"), Method: rules.Static}
	turnedOff := gone
	turnedOff.Method = rules.Deny
	yes, no := rules.Verdict{Answer: true}, rules.Verdict{Silence: rules.Denied}
	tests := []struct {
		name          string
		before, after *rules.View
		want          []rules.Delta
	}{
		{name: "nothing to nothing"},
		{name: "first", after: compile(t, keep).View(""), want: []rules.Delta{{Prefix: keep.Prefix, After: yes}}},
		{name: "last", before: compile(t, keep).View(""), want: []rules.Delta{{Prefix: keep.Prefix, Before: yes}}},
		{
			name: "replaced", before: compile(t, gone, keep).View(""), after: compile(t, keep, come).View(""),
			want: []rules.Delta{{Prefix: gone.Prefix, Before: yes}, {Prefix: come.Prefix, After: yes}},
		},
		{
			name: "turned off", before: compile(t, keep, gone).View(""), after: compile(t, turnedOff, keep).View(""),
			want: []rules.Delta{{Prefix: gone.Prefix, Before: yes, After: no}},
		},
		{name: "another order", before: compile(t, keep, gone).View(""), after: compile(t, gone, keep).View("")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := rules.Diff(tt.before, tt.after)
			opts := cmp.Options{cmpopts.IgnoreFields(rules.Verdict{}, "Rule"), cmpopts.EquateEmpty(), comparePrefixes}
			if d := cmp.Diff(tt.want, got, opts); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// setRules puts rules in force that must be right.
func setRules(t testing.TB, s *rules.Store, rs ...rules.Rule) {
	t.Helper()
	if err := s.SetRules(rs); err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	var s rules.Store
	if s.Load() != nil {
		t.Fatal("a table before the first publication")
	}
	var got []rules.Change
	s.Follow(func(c rules.Change) {
		if s.Load() != c.After {
			t.Error("a follower was told before the table was published")
		}
		got = append(got, c)
	})
	rule := rules.Rule{Prefix: prefix("2001:db8::/64"), Method: rules.Route}
	s.Update(rules.Kernel, []rules.EntryChange{{Entry: rules.Entry{Prefix: rule.Prefix, Behind: true}}})
	if len(got) != 0 {
		t.Fatal("entries without rules were published")
	}
	setRules(t, &s, rule)
	if err := s.SetRules([]rules.Rule{{}}); err == nil {
		t.Fatal("a rule without a prefix was taken")
	}
	if len(got) != 1 || got[0].Before != nil || s.Updates() != 1 {
		t.Fatalf("changes are %+v", got)
	}
	if v := s.Load().View("").Find(addr("2001:db8::1")); v == nil || !v.Answer {
		t.Errorf("verdict is %+v", v)
	}
}

// TestEntries looks at the verdicts that rules and entries make together.
func TestEntries(t *testing.T) {
	t.Parallel()
	const pod, other = "2001:db8:0:0:f::5", "2001:db8:0:0:f::6"
	route := rules.Rule{Prefix: prefix("2001:db8:0:0:f::/80"), Method: rules.Route}
	probe, static, deny := route, route, route
	probe.Method, static.Method, deny.Method = rules.Probe, rules.Static, rules.Deny
	device := probe
	device.Devices = []string{"br0"}
	inner := rules.Rule{Prefix: prefix("2001:db8:0:0:f::/112"), Method: rules.Deny}
	node, pods, services := route, route, route
	node.Method, pods.Method, services.Method = rules.Node, rules.Pods, rules.Services
	behind := func(p string) rules.Entry {
		return rules.Entry{Prefix: prefix(p), Behind: true, Forwarded: true, Neighbor: true, Device: 7}
	}
	away := func(p string) rules.Entry { return rules.Entry{Prefix: prefix(p), Device: 2} }
	routed := behind("2001:db8:0:0:f::/80")
	routed.Neighbor = false
	tunnel := routed
	tunnel.Behind = false
	named, noOwn, probeOwn, deviceNoOwn := route, route, probe, device
	named.Devices, noOwn.IgnoreOwn, probeOwn.IgnoreOwn, deviceNoOwn.IgnoreOwn = []string{"br0"}, true, true, true
	host := func(p string) rules.Entry { return rules.Entry{Prefix: prefix(p), Host: true, Device: 7} }
	hidden := host(pod + "/128")
	hidden.Hidden = true
	elsewhere := host(pod + "/128")
	elsewhere.Device = 8
	ownAddress := rules.Verdict{Silence: rules.OwnAddress}
	yes := rules.Verdict{Answer: true, Device: 7}
	its := rules.Verdict{Answer: true, Device: 7, Host: true}
	ask := rules.Verdict{Probe: true, Device: 7}
	noRoute := rules.Verdict{Silence: rules.NoRoute}
	ours := rules.Verdict{Answer: true}
	notLocal := rules.Verdict{Silence: rules.NotLocal}
	claimed := map[netip.Addr]rules.Silence{addr(pod): rules.Claimed}
	isClaimed := rules.Verdict{Silence: rules.Claimed}
	is := func(p string) rules.Entry { return rules.Entry{Prefix: prefix(p), Behind: true} }
	const block = "2001:db8:0:0:f::/120"
	tests := []struct {
		name    string
		rules   []rules.Rule
		entries []rules.Entry
		probed  []rules.Entry
		pods    []rules.Entry
		node    []rules.Entry
		service []rules.Entry
		guards  map[netip.Addr]rules.Silence
		target  string
		want    rules.Verdict
	}{
		{name: "static needs none", rules: []rules.Rule{static}, target: pod, want: rules.Verdict{Answer: true}},
		{name: "static does not mind", rules: []rules.Rule{static}, entries: []rules.Entry{away(pod + "/128")}, target: pod, want: rules.Verdict{Answer: true}},
		{name: "nothing known", rules: []rules.Rule{route}, target: pod, want: noRoute},
		{name: "exact route", rules: []rules.Rule{route}, entries: []rules.Entry{behind(pod + "/128")}, target: pod, want: yes},
		{name: "beside an exact route", rules: []rules.Rule{route}, entries: []rules.Entry{behind(pod + "/128")}, target: other, want: noRoute},
		{name: "route as wide as the rule", rules: []rules.Rule{route}, entries: []rules.Entry{behind("2001:db8:0:0:f::/80")}, target: pod, want: yes},
		{name: "route wider than the rule", rules: []rules.Rule{route}, entries: []rules.Entry{behind("2001:db8::/48")}, target: pod, want: yes},
		{name: "hole in a wide route", rules: []rules.Rule{route}, entries: []rules.Entry{behind("2001:db8::/48"), away(pod + "/128")}, target: pod, want: noRoute},
		{name: "beside the hole", rules: []rules.Rule{route}, entries: []rules.Entry{behind("2001:db8::/48"), away(pod + "/128")}, target: other, want: yes},
		{name: "narrower wide route away", rules: []rules.Rule{route}, entries: []rules.Entry{behind("2001:db8::/48"), away("2001:db8::/64")}, target: pod, want: noRoute},
		{name: "deny does not ask", rules: []rules.Rule{deny}, entries: []rules.Entry{behind(pod + "/128")}, target: pod, want: rules.Verdict{Silence: rules.Denied}},
		{name: "entry inside a narrower deny", rules: []rules.Rule{route, inner}, entries: []rules.Entry{behind(pod + "/128")}, target: pod, want: rules.Verdict{Silence: rules.Denied, Rule: 1}},
		{name: "probe", rules: []rules.Rule{probe}, entries: []rules.Entry{behind("2001:db8:0:0:f::/80")}, target: pod, want: ask},
		{name: "probe without a route", rules: []rules.Rule{probe}, target: pod, want: noRoute},
		{name: "probe behind a router", rules: []rules.Rule{probe}, entries: []rules.Entry{routed}, target: pod, want: yes},
		{name: "probe on a device", rules: []rules.Rule{device}, target: pod, want: rules.Verdict{Probe: true}},
		{
			name: "probed", rules: []rules.Rule{probe}, entries: []rules.Entry{behind("2001:db8:0:0:f::/80")}, probed: []rules.Entry{behind(pod + "/128")},
			target: pod, want: rules.Verdict{Answer: true, Learned: true, Part: true, Device: 7},
		},
		{
			name: "probed on another device", rules: []rules.Rule{probe}, entries: []rules.Entry{behind("2001:db8:0:0:f::/80")},
			probed: []rules.Entry{{Prefix: prefix(pod + "/128"), Device: 8}}, target: pod, want: ask,
		},
		{
			name: "probed on a named device", rules: []rules.Rule{device}, probed: []rules.Entry{behind(pod + "/128")},
			target: pod, want: rules.Verdict{Answer: true, Learned: true, Part: true, Device: 7},
		},
		{
			name: "probed on a device that is not named", rules: []rules.Rule{device}, probed: []rules.Entry{{Prefix: prefix(pod + "/128"), Behind: true, Device: 8}},
			target: pod, want: rules.Verdict{Probe: true},
		},
		{
			name: "probed, with a line of its own", rules: []rules.Rule{probe}, entries: []rules.Entry{behind(pod + "/128")}, probed: []rules.Entry{behind(pod + "/128")},
			target: pod, want: rules.Verdict{Answer: true, Learned: true, Device: 7},
		},
		{name: "probed, but the route is gone", rules: []rules.Rule{probe}, probed: []rules.Entry{behind(pod + "/128")}, target: pod, want: noRoute},
		{name: "probing has no part in route", rules: []rules.Rule{route}, probed: []rules.Entry{behind(pod + "/128")}, target: pod, want: noRoute},
		{name: "pod", rules: []rules.Rule{pods}, pods: []rules.Entry{is(pod + "/128")}, target: pod, want: ours},
		{name: "no pod", rules: []rules.Rule{pods}, pods: []rules.Entry{is(other + "/128")}, target: pod, want: notLocal},
		{name: "pod that the kernel knows first", rules: []rules.Rule{pods}, entries: []rules.Entry{behind(pod + "/128")}, target: pod, want: yes},
		{name: "wide route is no pod", rules: []rules.Rule{pods}, entries: []rules.Entry{behind("2001:db8:0:0:f::/80")}, target: pod, want: notLocal},
		{name: "route to a router is no pod", rules: []rules.Rule{pods}, entries: []rules.Entry{{Prefix: prefix(pod + "/128"), Behind: true, Device: 7}}, target: pod, want: notLocal},
		{name: "pod that has moved", rules: []rules.Rule{pods}, pods: []rules.Entry{is(pod + "/128")}, entries: []rules.Entry{away(pod + "/128")}, target: pod, want: notLocal},
		{name: "pod below a blackhole", rules: []rules.Rule{pods}, pods: []rules.Entry{is(pod + "/128")}, entries: []rules.Entry{away(block)}, target: pod, want: ours},
		{name: "prefix of the node is no pod", rules: []rules.Rule{pods}, node: []rules.Entry{is(block)}, target: pod, want: notLocal},
		{name: "node's prefix", rules: []rules.Rule{node}, node: []rules.Entry{is(block)}, target: pod, want: ours},
		{name: "node's prefix wider than the rule", rules: []rules.Rule{node}, node: []rules.Entry{is("2001:db8::/64")}, target: pod, want: ours},
		{name: "beside the node's prefix", rules: []rules.Rule{node}, node: []rules.Entry{is("2001:db8:0:0:f::100/120")}, target: pod, want: notLocal},
		{name: "blackhole of the node's prefix", rules: []rules.Rule{node}, node: []rules.Entry{is(block)}, entries: []rules.Entry{away(block)}, target: pod, want: ours},
		{name: "borrowed by another node", rules: []rules.Rule{node}, node: []rules.Entry{is(block)}, entries: []rules.Entry{away(pod + "/128")}, target: pod, want: notLocal},
		{name: "borrowed from another node", rules: []rules.Rule{node}, pods: []rules.Entry{is(pod + "/128")}, target: pod, want: ours},
		{name: "route of a pod in the node's prefix", rules: []rules.Rule{node}, node: []rules.Entry{is(block)}, entries: []rules.Entry{behind(pod + "/128")}, target: pod, want: yes},
		{name: "owned service", rules: []rules.Rule{services}, service: []rules.Entry{is(pod + "/128")}, target: pod, want: rules.Verdict{Answer: true, Service: true}},
		{name: "service of another node", rules: []rules.Rule{services}, service: []rules.Entry{{Prefix: prefix(pod + "/128")}}, target: pod, want: rules.Verdict{Silence: rules.NotOwner}},
		{name: "no service", rules: []rules.Rule{services}, service: []rules.Entry{is(other + "/128")}, target: pod, want: rules.Verdict{Silence: rules.NotAllocated}},
		{name: "route is no service", rules: []rules.Rule{services}, entries: []rules.Entry{behind(pod + "/128")}, target: pod, want: rules.Verdict{Silence: rules.NotAllocated}},
		{name: "service is no pod", rules: []rules.Rule{pods}, service: []rules.Entry{is(pod + "/128")}, target: pod, want: notLocal},
		{
			name: "a claim of a service's address", rules: []rules.Rule{services}, service: []rules.Entry{is(pod + "/128")},
			guards: claimed, target: pod, want: isClaimed,
		},
		{
			name: "guard", rules: []rules.Rule{static}, guards: map[netip.Addr]rules.Silence{addr(pod): rules.NextHop},
			target: pod, want: rules.Verdict{Silence: rules.NextHop},
		},
		{
			name: "beside a guard", rules: []rules.Rule{static}, guards: map[netip.Addr]rules.Silence{addr(pod): rules.NextHop},
			target: other, want: rules.Verdict{Answer: true},
		},
		{name: "a claim of an address with a host route", rules: []rules.Rule{route}, entries: []rules.Entry{behind(pod + "/128")}, guards: claimed, target: pod, want: yes},
		{name: "a claim of a part of a wide route", rules: []rules.Rule{route}, entries: []rules.Entry{behind(block)}, guards: claimed, target: pod, want: isClaimed},
		{name: "a claim of an address whose host route leads away", rules: []rules.Rule{route}, entries: []rules.Entry{away(pod + "/128")}, guards: claimed, target: pod, want: isClaimed},
		{name: "a claim of a static address", rules: []rules.Rule{{Prefix: prefix(pod + "/128"), Method: rules.Static}}, guards: claimed, target: pod, want: isClaimed},
		{name: "a claim of a target that lives", rules: []rules.Rule{probe}, entries: []rules.Entry{behind(route.Prefix.String())}, probed: []rules.Entry{behind(pod + "/128")}, guards: claimed, target: pod, want: rules.Verdict{Answer: true, Learned: true, Part: true, Device: 7}},
		{name: "a claim of a target that was not asked", rules: []rules.Rule{probe}, entries: []rules.Entry{behind(route.Prefix.String())}, guards: claimed, target: pod, want: isClaimed},
		{name: "a claim of a target that lives on a named device", rules: []rules.Rule{device}, probed: []rules.Entry{behind(pod + "/128")}, guards: claimed, target: pod, want: rules.Verdict{Answer: true, Learned: true, Part: true, Device: 7}},
		{name: "a claim of a target with a host route is asked", rules: []rules.Rule{probe}, entries: []rules.Entry{behind(pod + "/128")}, guards: claimed, target: pod, want: ask},
		{name: "a claim of a pod's address", rules: []rules.Rule{pods}, pods: []rules.Entry{is(pod + "/128")}, guards: claimed, target: pod, want: ours},
		{name: "a claim of a pod's address, by the node's rule", rules: []rules.Rule{node}, node: []rules.Entry{is(block)}, pods: []rules.Entry{is(pod + "/128")}, guards: claimed, target: pod, want: ours},
		{name: "a claim of a part of the node's prefix", rules: []rules.Rule{node}, node: []rules.Entry{is(block)}, guards: claimed, target: pod, want: isClaimed},
		{name: "a next hop with a host route", rules: []rules.Rule{route}, entries: []rules.Entry{behind(pod + "/128")}, guards: map[netip.Addr]rules.Silence{addr(pod): rules.NextHop}, target: pod, want: rules.Verdict{Silence: rules.NextHop}},
		{name: "routed to a named device without neighbors", rules: []rules.Rule{device}, entries: []rules.Entry{routed}, target: pod, want: yes},
		{name: "host route to a named device without neighbors", rules: []rules.Rule{device}, entries: []rules.Entry{{Prefix: prefix(pod + "/128"), Behind: true, Forwarded: true, Device: 7}}, target: pod, want: yes},
		{name: "routed to a named device of another class", rules: []rules.Rule{device}, entries: []rules.Entry{tunnel}, target: pod, want: yes},
		{name: "routed to a named device, but not behind us", rules: []rules.Rule{device}, entries: []rules.Entry{{Prefix: routed.Prefix, Device: 7}}, target: pod, want: rules.Verdict{Probe: true}},
		{name: "routed to a device that is not named", rules: []rules.Rule{device}, entries: []rules.Entry{{Prefix: routed.Prefix, Behind: true, Device: 8}}, target: pod, want: rules.Verdict{Probe: true}},
		{name: "neighbor inside of what is routed to a named device", rules: []rules.Rule{device}, entries: []rules.Entry{routed, behind(pod + "/128")}, target: pod, want: rules.Verdict{Probe: true, Part: true}},
		{name: "tunnel that is not behind us", rules: []rules.Rule{route}, entries: []rules.Entry{tunnel}, target: pod, want: noRoute},
		{name: "route rule that names the tunnel", rules: []rules.Rule{named}, entries: []rules.Entry{tunnel}, target: pod, want: yes},
		{name: "route rule that names the device", rules: []rules.Rule{named}, entries: []rules.Entry{behind(pod + "/128")}, target: pod, want: yes},
		{name: "route rule that names another device", rules: []rules.Rule{named}, entries: []rules.Entry{{Prefix: prefix(pod + "/128"), Behind: true, Forwarded: true, Device: 8}}, target: pod, want: noRoute},
		{name: "route rule that names an uplink", rules: []rules.Rule{named}, entries: []rules.Entry{{Prefix: prefix(pod + "/128"), Device: 7}}, target: pod, want: noRoute},
		{name: "a claim of an address behind a named tunnel", rules: []rules.Rule{named}, entries: []rules.Entry{{Prefix: prefix(pod + "/128"), Forwarded: true, Device: 7}}, guards: claimed, target: pod, want: yes},
		{name: "own address", rules: []rules.Rule{route}, entries: []rules.Entry{host(pod + "/128")}, target: pod, want: its},
		{name: "own prefix", rules: []rules.Rule{route}, entries: []rules.Entry{host("2001:db8:0:0:f::/80")}, target: pod, want: its},
		{name: "route inside of an own prefix", rules: []rules.Rule{route}, entries: []rules.Entry{host("2001:db8:0:0:f::/80"), away(pod + "/128")}, target: pod, want: noRoute},
		{name: "own address that the rule ignores", rules: []rules.Rule{noOwn}, entries: []rules.Entry{host(pod + "/128")}, target: pod, want: ownAddress},
		{name: "beside an own address", rules: []rules.Rule{noOwn}, entries: []rules.Entry{host(pod + "/128"), behind(block)}, target: other, want: yes},
		{name: "hidden address", rules: []rules.Rule{route}, entries: []rules.Entry{hidden}, target: pod, want: ownAddress},
		{name: "hidden address of a named device", rules: []rules.Rule{named}, entries: []rules.Entry{hidden}, target: pod, want: its},
		{name: "own address of a named device", rules: []rules.Rule{named}, entries: []rules.Entry{host(pod + "/128")}, target: pod, want: its},
		{name: "own address of a device that is not named", rules: []rules.Rule{named}, entries: []rules.Entry{elsewhere}, target: pod, want: ownAddress},
		{name: "own address cannot be asked", rules: []rules.Rule{probe}, entries: []rules.Entry{host(pod + "/128")}, target: pod, want: its},
		{name: "own address that a probe rule ignores", rules: []rules.Rule{probeOwn}, entries: []rules.Entry{host(pod + "/128")}, target: pod, want: ownAddress},
		{name: "own address on a device that is asked", rules: []rules.Rule{device}, entries: []rules.Entry{host(pod + "/128")}, target: pod, want: its},
		{name: "own address on a device that is not asked", rules: []rules.Rule{device}, entries: []rules.Entry{elsewhere}, target: pod, want: rules.Verdict{Probe: true, Part: true}},
		{name: "own address on a device that is asked by a rule that ignores it", rules: []rules.Rule{deviceNoOwn}, entries: []rules.Entry{host(pod + "/128")}, target: pod, want: rules.Verdict{Probe: true, Part: true}},
		{name: "a claim of an own address", rules: []rules.Rule{route}, entries: []rules.Entry{host(pod + "/128")}, guards: claimed, target: pod, want: isClaimed},
		{name: "own address is no pod", rules: []rules.Rule{pods}, entries: []rules.Entry{host(pod + "/128")}, target: pod, want: notLocal},
		{name: "own address takes no pod away", rules: []rules.Rule{pods}, pods: []rules.Entry{is(pod + "/128")}, entries: []rules.Entry{host(block)}, target: pod, want: ours},
		{name: "own address in the node's prefix", rules: []rules.Rule{node}, node: []rules.Entry{is(block)}, entries: []rules.Entry{host(pod + "/128")}, target: pod, want: notLocal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			orders := map[string][]func(*rules.Store){ // the result is the same
				"rules first": {setting(t, tt.rules), entering(tt.entries, tt.probed, tt.pods, tt.node, tt.service), guarding(tt.guards)},
				"rules last":  {guarding(tt.guards), entering(tt.entries, tt.probed, tt.pods, tt.node, tt.service), setting(t, tt.rules)},
			}
			for order, steps := range orders {
				var s rules.Store
				s.ResolveDevices(func(name string) int32 { return map[string]int32{"br0": 7}[name] })
				for _, step := range steps {
					step(&s)
				}
				if got, _ := s.Load().View("eth0").Lookup(addr(tt.target)); got.Verdict != tt.want {
					t.Errorf("%s: got %+v, want %+v", order, got, tt.want)
				}
			}
		})
	}
}

func setting(t *testing.T, rs []rules.Rule) func(*rules.Store) {
	return func(s *rules.Store) { setRules(t, s, rs...) }
}

// entering takes entries in the order of the sources, of the first ones.
func entering(entries ...[]rules.Entry) func(*rules.Store) {
	return func(s *rules.Store) {
		for i, of := range entries {
			s.Replace(rules.Sources()[i], slices.Values(of))
		}
	}
}

func guarding(guards map[netip.Addr]rules.Silence) func(*rules.Store) {
	return func(s *rules.Store) { s.SetGuards("eth0", guards) }
}

// TestReplaceReadsBeforeLocking reads the entries from something that asks the
// store meanwhile, as a source that waits for another task may.
func TestReplaceReadsBeforeLocking(t *testing.T) {
	t.Parallel()
	var s rules.Store
	setRules(t, &s, rules.Rule{Prefix: prefix("2001:db8::/64"), Method: rules.Route})
	s.Replace(rules.Kernel, func(yield func(rules.Entry) bool) {
		s.Update(rules.Probed, nil)
		if _, known := s.Entry(rules.Kernel, addr("2001:db8::1")); known {
			t.Error("the store knows the entry already")
		}
		yield(rules.Entry{Prefix: prefix("2001:db8::1/128"), Behind: true, Device: 7})
	})
	if v := s.Load().View("").Find(addr("2001:db8::1")); v == nil || !v.Answer {
		t.Errorf("verdict is %+v", v)
	}
}
