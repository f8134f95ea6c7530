// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
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
		return rules.Entry{Prefix: prefix(p), Behind: true, Neighbor: true, Device: 7}
	}
	away := func(p string) rules.Entry { return rules.Entry{Prefix: prefix(p), Device: 2} }
	routed := behind("2001:db8:0:0:f::/80")
	routed.Neighbor = false
	yes := rules.Verdict{Answer: true, Device: 7}
	ask := rules.Verdict{Probe: true, Device: 7}
	noRoute := rules.Verdict{Silence: rules.NoRoute}
	ours := rules.Verdict{Answer: true}
	notLocal := rules.Verdict{Silence: rules.NotLocal}
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
		{name: "owned service", rules: []rules.Rule{services}, service: []rules.Entry{is(pod + "/128")}, target: pod, want: ours},
		{name: "service of another node", rules: []rules.Rule{services}, service: []rules.Entry{{Prefix: prefix(pod + "/128")}}, target: pod, want: rules.Verdict{Silence: rules.NotOwner}},
		{name: "no service", rules: []rules.Rule{services}, service: []rules.Entry{is(other + "/128")}, target: pod, want: rules.Verdict{Silence: rules.NotAllocated}},
		{name: "route is no service", rules: []rules.Rule{services}, entries: []rules.Entry{behind(pod + "/128")}, target: pod, want: rules.Verdict{Silence: rules.NotAllocated}},
		{name: "service is no pod", rules: []rules.Rule{pods}, service: []rules.Entry{is(pod + "/128")}, target: pod, want: notLocal},
		{
			name: "guard of a service", rules: []rules.Rule{services}, service: []rules.Entry{is(pod + "/128")},
			guards: map[netip.Addr]rules.Silence{addr(pod): rules.Claimed}, target: pod, want: rules.Verdict{Silence: rules.Claimed},
		},
		{
			name: "guard", rules: []rules.Rule{static}, guards: map[netip.Addr]rules.Silence{addr(pod): rules.NextHop},
			target: pod, want: rules.Verdict{Silence: rules.NextHop},
		},
		{
			name: "beside a guard", rules: []rules.Rule{static}, guards: map[netip.Addr]rules.Silence{addr(pod): rules.NextHop},
			target: other, want: rules.Verdict{Answer: true},
		},
		{
			name: "guard of an exact route", rules: []rules.Rule{route}, entries: []rules.Entry{behind(pod + "/128")},
			guards: map[netip.Addr]rules.Silence{addr(pod): rules.Claimed}, target: pod, want: rules.Verdict{Silence: rules.Claimed},
		},
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

// entering takes entries in the order of the sources.
func entering(entries ...[]rules.Entry) func(*rules.Store) {
	return func(s *rules.Store) {
		for i, src := range rules.Sources() {
			s.Replace(src, slices.Values(entries[i]))
		}
	}
}

func guarding(guards map[netip.Addr]rules.Silence) func(*rules.Store) {
	return func(s *rules.Store) { s.SetGuards("eth0", guards) }
}

// TestIncremental changes entries, rules and guards at random, and wants the
// table at every step to be the one that is made from nothing, and the deltas to
// lead from each table to the next.
func TestIncremental(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := &world{rng: rand.New(rand.NewPCG(seed, 1)), guards: make(map[netip.Addr]rules.Silence)}
			for src := range w.entries {
				w.entries[src] = make(map[netip.Prefix]rules.Entry)
			}
			w.store.Follow(func(c rules.Change) { w.follow(t, c) })
			for range 300 {
				w.step(t)
				var fresh rules.Store
				setRules(t, &fresh, w.rules...)
				for _, src := range rules.Sources() {
					fresh.Replace(src, maps.Values(w.entries[src]))
				}
				fresh.SetGuards("eth0", w.guards)
				for _, uplink := range []string{"", "eth0"} {
					if d := rules.Diff(fresh.Load().View(uplink), w.store.Load().View(uplink)); len(d) > 0 {
						t.Fatalf("uplink %q differs from a fresh table: %+v", uplink, d)
					}
				}
			}
		})
	}
}

// world is what TestIncremental does to a store, in a form to begin anew from.
type world struct {
	rng     *rand.Rand
	store   rules.Store
	rules   []rules.Rule
	entries [5]map[netip.Prefix]rules.Entry // by source
	guards  map[netip.Addr]rules.Silence
	seen    map[netip.Prefix]rules.Verdict // eth0's view by the deltas alone
}

func (w *world) prefix() netip.Prefix {
	b := [16]byte{0: 0x20, 1: 0x01, 14: byte(w.rng.IntN(2)), 15: byte(w.rng.IntN(8))}
	lengths := []int{16, 112, 119, 120, 125, 126, 127, 128, 128, 128}
	p, _ := netip.AddrFrom16(b).Prefix(lengths[w.rng.IntN(len(lengths))])
	return p
}

func (w *world) step(t *testing.T) {
	switch n := w.rng.IntN(20); {
	case n == 0 || len(w.rules) == 0:
		w.rules = nil
		known := make(map[netip.Prefix]bool)
		for range 1 + w.rng.IntN(4) {
			r := rules.Rule{Prefix: w.prefix(), Method: rules.Methods()[w.rng.IntN(len(rules.Methods()))]}
			if w.rng.IntN(4) == 0 {
				r.Uplinks = []string{"eth0"}
			}
			if !known[r.Prefix] {
				w.rules = append(w.rules, r)
			}
			known[r.Prefix] = true
		}
		setRules(t, &w.store, w.rules...)
	case n < 4:
		a := w.prefix().Addr()
		if _, ok := w.guards[a]; ok {
			delete(w.guards, a)
		} else {
			w.guards[a] = rules.NextHop
		}
		w.store.SetGuards("eth0", w.guards)
	default:
		var changes []rules.EntryChange
		source := rules.Sources()[w.rng.IntN(len(rules.Sources()))]
		entries := w.entries[source]
		for range 1 + w.rng.IntN(3) {
			e := rules.Entry{Prefix: w.prefix(), Behind: w.rng.IntN(3) > 0, Neighbor: w.rng.IntN(2) > 0, Device: int32(w.rng.IntN(3))}
			_, known := entries[e.Prefix]
			gone := known && w.rng.IntN(2) > 0
			if entries[e.Prefix] = e; gone {
				delete(entries, e.Prefix)
			}
			changes = append(changes, rules.EntryChange{Entry: e, Gone: gone})
		}
		w.store.Update(source, changes)
	}
}

// follow keeps a copy of a view by the deltas, and compares it with the view.
func (w *world) follow(t *testing.T, c rules.Change) {
	if w.seen == nil {
		w.seen = make(map[netip.Prefix]rules.Verdict)
	}
	for _, d := range c.Deltas("eth0") {
		if got := w.seen[d.Prefix]; !same(got, d.Before) {
			t.Errorf("%s was %+v, the delta says %+v", d.Prefix, got, d.Before)
		}
		w.seen[d.Prefix] = d.After
	}
	for p, v := range c.After.View("eth0").Decisions() {
		if !same(w.seen[p], v) {
			t.Errorf("%s is %+v by the deltas, want %+v", p, w.seen[p], v)
		}
	}
	for p, v := range w.seen {
		if got, ok := c.After.View("eth0").Lookup(p.Addr()); !same(v, rules.Verdict{}) && (!ok || got.Prefix.Bits() < p.Bits()) {
			t.Errorf("%s is %+v by the deltas, and not there", p, v)
		}
	}
}

// same ignores the rule's index, as deltas do.
func same(a, b rules.Verdict) bool {
	a.Rule, b.Rule = 0, 0
	return a == b
}
