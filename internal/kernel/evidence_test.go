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
}

func (j *judge) SetPolicy(bool, []rules.DeviceSetting) bool { return false }

func (j *judge) SetUplinks(indices []int, _ ...string) bool {
	changed := !slices.Equal(j.uplinks, indices)
	j.uplinks = indices
	return changed
}

func (j *judge) SetOrigins(map[string]int, []uint32) bool { return false }

func (j *judge) Domains() (rules.Domains, uint64) { return rules.Domains{}, 0 }

func (j *judge) Version() uint64 { return 0 }

func (j *judge) EntryIn(_ rules.Domain, p netip.Prefix) (rules.Entry, bool) {
	e, ok := j.entries[p]
	e.Behind = e.Behind && !slices.Contains(j.uplinks, int(e.Device))
	return e, ok
}

func (j *judge) AllIn(rules.Domain) iter.Seq[rules.Entry] {
	return func(yield func(rules.Entry) bool) {
		for p := range j.entries {
			if e, _ := j.EntryIn(0, p); !yield(e) {
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
