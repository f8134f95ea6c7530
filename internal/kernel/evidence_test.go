// SPDX-License-Identifier: Apache-2.0

package kernel_test

import (
	"iter"
	"net/netip"
	"slices"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/kernel"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// judge is a fake that knows what the test says.
type judge struct {
	entries map[netip.Prefix]rules.Entry
	uplinks []int
	domains rules.Domains
	version uint64
	// second are the entries of domain 1.
	second map[netip.Prefix]rules.Entry
}

func (j *judge) SetPolicy(bool, []rules.DeviceSetting) bool { return false }

func (j *judge) SetUplinks(indices []int, _ ...string) bool {
	changed := !slices.Equal(j.uplinks, indices)
	j.uplinks = indices
	return changed
}

func (j *judge) SetOrigins(map[string]int, []uint32) bool { return false }

func (j *judge) Domains() (rules.Domains, uint64) { return j.domains, j.version }

func (j *judge) Version() uint64 { return j.version }

func (j *judge) of(d rules.Domain) map[netip.Prefix]rules.Entry {
	if d == 1 {
		return j.second
	}
	return j.entries
}

func (j *judge) EntryIn(d rules.Domain, p netip.Prefix) (rules.Entry, bool) {
	e, ok := j.of(d)[p]
	e.Behind = e.Behind && !slices.Contains(j.uplinks, int(e.Device))
	return e, ok
}

func (j *judge) AllIn(d rules.Domain) iter.Seq[rules.Entry] {
	return func(yield func(rules.Entry) bool) {
		for p := range j.of(d) {
			if e, _ := j.EntryIn(d, p); !yield(e) {
				return
			}
		}
	}
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	pod, net := netip.MustParsePrefix("2001:db8::5/128"), netip.MustParsePrefix("2001:db8::/80")
	entry := func(p netip.Prefix, device int32) rules.Entry {
		return rules.Entry{Prefix: p, Behind: true, Neighbor: true, Device: device}
	}
	j := &judge{entries: map[netip.Prefix]rules.Entry{net: entry(net, 3)}}
	var store rules.Store
	if err := store.SetRules([]rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Route}}); err != nil {
		t.Fatal(err)
	}
	var appeared []netip.Addr
	e := kernel.New(j, &store, func(a []netip.Addr) { appeared = append(appeared, a...) })
	answers := func(step string, want bool) {
		t.Helper()
		v := store.Load().View("eth0").Find(pod.Addr())
		if v.Answer != want {
			t.Errorf("%s: answered %t, want %t", step, v.Answer, want)
		}
	}
	answers("what was there at the start", true)
	e.SetUplinks([]int{3}, nil, nil, nil)
	answers("its device is an uplink", false)
	j.entries[pod] = entry(pod, 7)
	e.RoutesChanged([]netip.Prefix{pod}, false)
	answers("a host route appears", true)
	if !slices.Equal(appeared, []netip.Addr{pod.Addr()}) {
		t.Errorf("appeared: %v", appeared)
	}
	delete(j.entries, pod)
	e.RoutesChanged([]netip.Prefix{pod}, false)
	answers("it goes", false)
	j.entries[pod] = entry(pod, 7)
	e.RoutesChanged(nil, true)
	answers("everything is read again", true)
}

// TestDomains has two uplinks for which the kernel asks different tables, after a policy
// rule has appeared.
func TestDomains(t *testing.T) {
	t.Parallel()
	pod := netip.MustParsePrefix("2001:db8::5/128")
	entry := rules.Entry{Prefix: pod, Behind: true, Forwarded: true, Device: 7}
	j := &judge{entries: make(map[netip.Prefix]rules.Entry), second: make(map[netip.Prefix]rules.Entry)}
	var store rules.Store
	if err := store.SetRules([]rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Route}}); err != nil {
		t.Fatal(err)
	}
	e := kernel.New(j, &store, func([]netip.Addr) {})
	answers := func(step string, eth0, eth1 bool) {
		t.Helper()
		for uplink, want := range map[string]bool{"eth0": eth0, "eth1": eth1} {
			if got := store.Load().View(uplink).Find(pod.Addr()).Answer; got != want {
				t.Errorf("%s, %s: answered %t, want %t", step, uplink, got, want)
			}
		}
	}
	j.second[pod] = entry
	j.domains, j.version = rules.Domains{Uplinks: map[string]rules.Domain{"eth1": 1}, Count: 2}, 1
	e.RoutesChanged([]netip.Prefix{pod}, false)
	answers("the second table has the route", false, true)
	j.entries[pod] = entry
	e.RoutesChanged([]netip.Prefix{pod}, false)
	answers("both have it", true, true)
	delete(j.second, pod)
	e.RoutesChanged([]netip.Prefix{pod}, false)
	answers("the first one has it", true, false)
	j.domains, j.version = rules.Domains{}, 2
	e.RoutesChanged(nil, true)
	answers("the policy rule is gone", true, true)
}
