// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestAbsentPod leaves the address of a pod on this node to another one, while the
// virtual machine in it runs there, and does not take its route for the first sign of a
// pod before the address is known.
func TestAbsentPod(t *testing.T) {
	t.Parallel()
	const link, block, pod, early = "2001:db8:1::/64", "2001:db8:1:0:a::/120", "2001:db8:1:0:a::5/128", "2001:db8:1:0:a::6/128"
	for _, method := range []rules.Method{rules.Pods, rules.Node} {
		t.Run(method.String(), func(t *testing.T) {
			t.Parallel()
			s := new(rules.Store)
			if err := s.SetRules([]rules.Rule{{Prefix: prefix(link), Method: method}}); err != nil {
				t.Fatal(err)
			}
			var announced []string
			s.Follow(func(c rules.Change) {
				for _, d := range c.Deltas("eth0") {
					if d.After.Announced() && !d.Before.Announced() {
						announced = append(announced, d.Prefix.String())
					}
				}
			})
			now := time.Unix(1_800_000_000, 0)
			answers := func(p string) bool {
				v := s.Load().View("eth0").Find(prefix(p).Addr())
				return v != nil && v.Answer
			}
			set := func(source rules.Source, p string, behind bool, at time.Time) {
				s.Update(source, []rules.EntryChange{{Entry: rules.Entry{Prefix: prefix(p), Behind: behind, Forwarded: true, Attached: source == rules.Kernel, Device: 7, Since: at}}})
			}
			want := func(what, p string, is bool) {
				t.Helper()
				if answers(p) != is {
					t.Errorf("%s: %s is answered: %t", what, p, !is)
				}
			}
			set(rules.Kernel, early, true, now)
			want("first sign", early, true)
			s.HoldFirstSigns(true, now.Add(5*time.Second))
			want("a route from before", early, true)
			set(rules.Kernel, pod, true, now.Add(6*time.Second))
			want("a route while a machine is awaited", pod, false)
			set(rules.PodAddresses, pod, false, now)
			s.HoldFirstSigns(false, time.Time{})
			want("the machine is not here", pod, false)
			if method == rules.Node {
				set(rules.NodePrefixes, block, true, now)
				want("the machine is not here, in the node's prefix", pod, false)
			}
			if n := len(announced); announced[0] != early || method == rules.Pods && n != 1 {
				t.Errorf("announced before: %v", announced)
			}
			announced = nil
			set(rules.PodAddresses, pod, true, now)
			want("the machine has come", pod, true)
			if len(announced) != 1 || announced[0] != pod {
				t.Errorf("announced: %v", announced)
			}
		})
	}
}
