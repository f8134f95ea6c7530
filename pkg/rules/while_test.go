// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestWaiting has a rule wait inside of a wider one, and hold again.
func TestWaiting(t *testing.T) {
	t.Parallel()
	const pod, other, outside = "2001:db8:0:0:f::5", "2001:db8:0:0:f::6", "2001:db8::7"
	wide := rules.Rule{Prefix: prefix("2001:db8::/64"), Method: rules.Static}
	for _, method := range []rules.Method{rules.Static, rules.Route, rules.Probe} {
		inner := rules.Rule{Prefix: prefix("2001:db8:0:0:f::/80"), Method: method, While: rules.While{Interface: "wg0"}}
		waiting := inner
		waiting.Waiting = true
		var s rules.Store
		s.Update(rules.Kernel, []rules.EntryChange{{Entry: rules.Entry{Prefix: prefix(pod + "/128"), Behind: true, Forwarded: true, Device: 7}}})
		setRules(t, &s, wide, waiting)
		var last rules.Change
		s.Follow(func(c rules.Change) { last = c })
		find := func(a string) rules.Verdict {
			v := s.Load().View("eth0").Find(addr(a))
			if v == nil {
				t.Fatalf("%s: no verdict for %s", method, a)
			}
			return *v
		}
		for _, a := range []string{pod, other} {
			if v := find(a); v.Answer || v.Probe || v.Silence != rules.Standby {
				t.Errorf("%s: %s has %+v while the rule waits", method, a, v)
			}
		}
		if v := find(outside); !v.Answer {
			t.Errorf("%s: the wider rule has %+v", method, v)
		}
		// What another station has does not matter while the rule waits.
		s.SetGuards("eth0", map[netip.Addr]rules.Silence{addr(other): rules.Claimed})
		if v := find(other); v.Silence != rules.Standby {
			t.Errorf("%s: a claimed address has %+v while the rule waits", method, v)
		}
		s.SetGuards("eth0", nil)
		setRules(t, &s, wide, inner)
		if v := find(pod); !v.Answer {
			t.Errorf("%s: %s has %+v when the rule holds", method, pod, v)
		}
		begun := 0
		for _, d := range last.Deltas("eth0") {
			if d.Prefix == prefix(pod+"/128") && d.Before.Silence == rules.Standby && d.After.Announced() {
				begun++
			}
		}
		if want := map[bool]int{true: 1}[method != rules.Static]; begun != want {
			t.Errorf("%s: %d deltas tell that the address is taken over, want %d", method, begun, want)
		}
	}
}

func TestParseWhileAddress(t *testing.T) {
	t.Parallel()
	for s, ok := range map[string]bool{
		"2001:db8::5": true, "fe80::5": true, "fd00::5": true,
		"2001:db8::5/64": false, "192.0.2.5": false, "::ffff:192.0.2.5": false, "fe80::5%eth0": false, "ff02::1": false, "::": false, "::1": false, "eth0": false, "": false,
	} {
		if _, err := rules.ParseWhileAddress(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}
