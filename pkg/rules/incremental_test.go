// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestIncremental changes entries, rules and guards at random, and wants the
// table at every step to be the one that is made from nothing, and the deltas to
// lead from each table to the next.
func TestIncremental(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := &world{rng: rand.New(rand.NewPCG(seed, 1)), guards: make(map[netip.Addr]rules.Silence), entries: make([]map[netip.Prefix]rules.Entry, len(rules.Sources()))}
			resolve := func(name string) int32 { return map[string]int32{"br0": 1}[name] }
			w.store.ResolveDevices(resolve)
			for src := range w.entries {
				w.entries[src] = make(map[netip.Prefix]rules.Entry)
			}
			for d := range w.routes {
				w.routes[d] = make(map[netip.Prefix]rules.Entry)
			}
			w.store.Follow(func(c rules.Change) { w.follow(t, c) })
			for range 300 {
				w.step(t)
				var fresh rules.Store
				fresh.ResolveDevices(resolve)
				setRules(t, &fresh, w.rules...)
				for _, src := range rules.Sources() {
					if src != rules.Kernel {
						fresh.Replace(src, maps.Values(w.entries[src]))
					}
				}
				fresh.ReplaceRoutes(w.domains, w.all)
				fresh.SetGuards("eth0", w.guards)
				fresh.SetOnLink("eth0", w.onLink)
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
	entries []map[netip.Prefix]rules.Entry // by source
	guards  map[netip.Addr]rules.Silence
	onLink  []netip.Prefix
	domains rules.Domains
	routes  [3]map[netip.Prefix]rules.Entry // of the source Kernel, by domain
	seen    map[netip.Prefix]rules.Verdict  // eth0's view by the deltas alone
}

// all yields the routes of a domain.
func (w *world) all(d rules.Domain) iter.Seq[rules.Entry] { return maps.Values(w.routes[d]) }

// lists are the files that rules may name, and entries be in.
var lists = []string{"/one", "/two"}

func (w *world) prefix() netip.Prefix {
	b := [16]byte{0: 0x20, 1: 0x01, 14: byte(w.rng.IntN(2)), 15: byte(w.rng.IntN(8))}
	lengths := []int{16, 112, 119, 120, 125, 126, 127, 128, 128, 128}
	p, _ := netip.AddrFrom16(b).Prefix(lengths[w.rng.IntN(len(lengths))])
	return p
}

func (w *world) step(t *testing.T) {
	switch n := w.rng.IntN(22); {
	case n == 0 || len(w.rules) == 0:
		w.rules = nil
		known := make(map[netip.Prefix]bool)
		for range 1 + w.rng.IntN(4) {
			r := rules.Rule{Prefix: w.prefix(), Method: rules.Methods()[w.rng.IntN(len(rules.Methods()))]}
			if r.Method == rules.File {
				r.Targets = lists[w.rng.IntN(len(lists))]
			}
			r.DAD = rules.DADPolicy(w.rng.IntN(3))
			if r.Method == rules.Probe && w.rng.IntN(2) == 0 {
				r.Devices = []string{"br0"}
			}
			if r.Method == rules.Probe || r.Method == rules.Route {
				r.Table = []uint32{0, 0, 100, 200}[w.rng.IntN(4)]
			}
			if w.rng.IntN(4) == 0 {
				r.Uplinks = []string{"eth0"}
			}
			if !known[r.Prefix] {
				w.rules = append(w.rules, r)
			}
			known[r.Prefix] = true
		}
		setRules(t, &w.store, w.rules...)
	case n == 21:
		n := 1 + w.rng.IntN(len(w.routes))
		domain := func() rules.Domain { return rules.Domain(w.rng.IntN(n)) }
		w.domains = rules.Domains{Uplinks: map[string]rules.Domain{"eth0": domain(), "eth1": domain()}, Tables: map[uint32]rules.Domain{100: domain()}, Count: n}
		for d := n; d < len(w.routes); d++ {
			clear(w.routes[d])
		}
		w.store.ReplaceRoutes(w.domains, w.all)
	case n == 20:
		w.onLink = nil
		for range w.rng.IntN(3) {
			w.onLink = append(w.onLink, w.prefix())
		}
		w.store.SetOnLink("eth0", w.onLink)
	case n == 4:
		clear(w.guards)
		w.store.SetGuards("eth0", w.guards)
	case n < 4:
		a := w.prefix().Addr()
		if _, ok := w.guards[a]; ok {
			delete(w.guards, a)
		} else {
			w.guards[a] = []rules.Silence{rules.NextHop, rules.Claimed}[w.rng.IntN(2)]
		}
		w.store.SetGuards("eth0", w.guards)
	default:
		var changes []rules.EntryChange
		source := rules.Sources()[w.rng.IntN(len(rules.Sources()))]
		entries, domain := w.entries[source], rules.Domain(0)
		if source == rules.Kernel {
			domain = rules.Domain(w.rng.IntN(max(w.domains.Count, 1)))
			entries = w.routes[domain]
		}
		for range 1 + w.rng.IntN(3) {
			e := rules.Entry{Prefix: w.prefix(), Behind: w.rng.IntN(3) > 0, Forwarded: w.rng.IntN(3) > 0, Host: w.rng.IntN(4) == 0, Neighbor: w.rng.IntN(2) > 0, Elsewhere: w.rng.IntN(4) == 0, Attached: w.rng.IntN(3) == 0, Additional: w.rng.IntN(3) == 0, Device: int32(w.rng.IntN(3))}
			if source == rules.Listed {
				e.Lists = rules.ListsOf(lists[w.rng.IntN(len(lists)):]...)
			}
			_, known := entries[e.Prefix]
			gone := known && w.rng.IntN(2) > 0
			if entries[e.Prefix] = e; gone {
				delete(entries, e.Prefix)
			}
			changes = append(changes, rules.EntryChange{Entry: e, Gone: gone})
		}
		if source == rules.Kernel {
			w.store.UpdateRoutes(domain, changes)
		} else {
			w.store.Update(source, changes)
		}
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
