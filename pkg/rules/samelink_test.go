// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestSameLink is silent on an uplink for what answers there itself, and on that one
// alone.
func TestSameLink(t *testing.T) {
	t.Parallel()
	const eth0, eth1, shim0, pod = 2, 3, 4, 5 // shim0 is on the link of eth0
	const target, around, link = "2001:db8:1:0:c::5", "2001:db8:1:0:c::/80", "2001:db8:1::/64"
	names := map[string]int32{"eth0": eth0, "eth1": eth1, "shim0": shim0, "pod": pod}
	static := rules.Rule{Prefix: prefix(link), Method: rules.Static}
	probe := func(devices ...string) rules.Rule {
		return rules.Rule{Prefix: prefix(link), Method: rules.Probe, Devices: devices}
	}
	to := func(p string, device int32) rules.Entry { return rules.Entry{Prefix: prefix(p), Device: device} }
	behindUs := func(p string) rules.Entry {
		return rules.Entry{Prefix: prefix(p), Behind: true, Forwarded: true, Device: pod}
	}
	tests := []struct {
		name       string
		rule       rules.Rule
		entries    []rules.Entry
		probed     int32 // the device on which the target has answered
		eth0, eth1 rules.Verdict
	}{
		{name: "static", rule: static, eth0: rules.Verdict{Answer: true}, eth1: rules.Verdict{Answer: true}},
		{name: "static, routed to the uplink", rule: static, entries: []rules.Entry{to(target+"/128", eth0)}, eth0: rules.Verdict{Answer: true}, eth1: rules.Verdict{Answer: true}},
		{name: "static, routed to a macvlan", rule: static, entries: []rules.Entry{to(target+"/128", shim0)}, eth0: rules.Verdict{Silence: rules.SameLink}, eth1: rules.Verdict{Answer: true}},
		{name: "static, a part routed to a macvlan", rule: static, entries: []rules.Entry{to(around, shim0)}, eth0: rules.Verdict{Silence: rules.SameLink}, eth1: rules.Verdict{Answer: true}},
		{name: "static, a macvlan with the on-link prefix", rule: static, entries: []rules.Entry{to(link, shim0)}, eth0: rules.Verdict{Answer: true}, eth1: rules.Verdict{Answer: true}},
		{name: "static, behind us", rule: static, entries: []rules.Entry{to(around, shim0), behindUs(target + "/128")}, eth0: rules.Verdict{Answer: true, Part: true}, eth1: rules.Verdict{Answer: true, Part: true}},
		{name: "probe on a macvlan", rule: probe("shim0"), probed: shim0, eth0: rules.Verdict{Silence: rules.SameLink}, eth1: rules.Verdict{Answer: true, Learned: true, Part: true, Device: shim0}},
		{name: "probe on the uplink", rule: probe("eth0"), eth0: rules.Verdict{Silence: rules.SameLink}, eth1: rules.Verdict{Probe: true}},
		{name: "probe on both uplinks", rule: probe("eth0", "eth1"), probed: eth1, eth0: rules.Verdict{Answer: true, Learned: true, Part: true, Device: eth1}, eth1: rules.Verdict{Probe: true}},
		{name: "probe on a device that is missing", rule: probe("gone"), eth0: rules.Verdict{Probe: true}, eth1: rules.Verdict{Probe: true}},
		{name: "probe on a device behind us", rule: probe("shim0", "pod"), probed: pod, eth0: rules.Verdict{Answer: true, Learned: true, Part: true, Device: pod}, eth1: rules.Verdict{Answer: true, Learned: true, Part: true, Device: pod}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s rules.Store
			s.ResolveDevices(func(name string) int32 { return names[name] })
			s.ResolveLinks(func(uplink string, device int32) (same, own bool) {
				own = names[uplink] == device
				return own || (uplink == "eth0" || uplink == "") && device == shim0, own
			})
			for _, uplink := range []string{"eth0", "eth1"} {
				s.SetOnLink(uplink, []netip.Prefix{prefix(link)})
			}
			setRules(t, &s, tt.rule)
			entering(tt.entries)(&s)
			if tt.probed != 0 {
				s.Update(rules.Probed, []rules.EntryChange{{Entry: rules.Entry{Prefix: prefix(target + "/128"), Behind: true, Device: tt.probed}}})
			}
			for uplink, want := range map[string]rules.Verdict{"eth0": tt.eth0, "eth1": tt.eth1} {
				v, _ := s.Load().View(uplink).Lookup(addr(target))
				v.Verdict.IgnoreDAD, v.Verdict.Contested = false, false // other matters
				if v.Verdict != want {
					t.Errorf("%s: got %+v, want %+v", uplink, v.Verdict, want)
				}
			}
		})
	}
}

// TestSameLinkOfAnyUplink is silent on an uplink that has no view of its own, because
// it has single addresses only.
func TestSameLinkOfAnyUplink(t *testing.T) {
	t.Parallel()
	var s rules.Store
	s.ResolveLinks(func(uplink string, device int32) (same, own bool) { return uplink == "" && device == 4, false })
	setRules(t, &s, rules.Rule{Prefix: prefix("2001:db8:1::/64"), Method: rules.Static})
	s.Update(rules.Kernel, []rules.EntryChange{{Entry: rules.Entry{Prefix: prefix("2001:db8:1:0:c::/80"), Device: 4}}})
	for target, want := range map[string]rules.Verdict{"2001:db8:1:0:c::5": {Silence: rules.SameLink}, "2001:db8:1:0:d::5": {Answer: true}} {
		if got, _ := s.Load().View("eth0").Lookup(addr(target)); got.Verdict != want {
			t.Errorf("%s: got %+v", target, got.Verdict)
		}
	}
}
