// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestDevicesChanged gives the name that a rule has to another device.
func TestDevicesChanged(t *testing.T) {
	t.Parallel()
	names := map[string]int32{"wg0": 7}
	var s rules.Store
	s.ResolveDevices(func(name string) int32 { return names[name] })
	s.DevicesChanged() // without rules
	rule := rules.Rule{Prefix: prefix("2001:db8:0:0:f::/80"), Method: rules.Route, Devices: []string{"wg0"}}
	setRules(t, &s, rule)
	s.Update(rules.Kernel, []rules.EntryChange{
		{Entry: rules.Entry{Prefix: prefix("2001:db8:0:0:f::1/128"), Forwarded: true, Device: 7}},
		{Entry: rules.Entry{Prefix: prefix("2001:db8:0:0:f::2/128"), Forwarded: true, Device: 8}},
	})
	want := func(first, second bool) {
		t.Helper()
		v := s.Load().View("eth0")
		if a, b := v.Find(addr("2001:db8:0:0:f::1")).Answer, v.Find(addr("2001:db8:0:0:f::2")).Answer; a != first || b != second {
			t.Errorf("answers are %t and %t", a, b)
		}
	}
	want(true, false)
	published := s.Updates()
	s.DevicesChanged()
	if s.Updates() != published {
		t.Error("published without a change")
	}
	var deltas int
	s.Follow(func(c rules.Change) { deltas = len(c.Deltas("eth0")) })
	names["wg0"] = 8
	s.DevicesChanged()
	want(false, true)
	if deltas != 2 {
		t.Errorf("%d deltas", deltas)
	}
	delete(names, "wg0")
	s.DevicesChanged()
	want(false, false)
}
