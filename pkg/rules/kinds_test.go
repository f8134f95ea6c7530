// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestKinds decides for service addresses by what they are, in rules for services and in
// those for pods that answer for services as well.
func TestKinds(t *testing.T) {
	t.Parallel()
	prefix, address := netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParseAddr("2001:db8:1::5")
	tests := []struct {
		name   string
		method rules.Method
		rule   rules.ServiceKinds
		entry  rules.ServiceKinds
		behind bool
		want   rules.Silence
	}{
		{"no restriction", rules.Services, 0, rules.ClusterIPs, true, rules.NotSilent},
		{"one of several", rules.Services, rules.Exposed, rules.ExternalIPs, true, rules.NotSilent},
		{"two kinds, one of which counts", rules.Services, rules.ExternalIPs, rules.ExternalIPs | rules.ClusterIPs, true, rules.NotSilent},
		{"another one", rules.Services, rules.Exposed, rules.ClusterIPs, true, rules.OtherKind},
		{"another one, of another node", rules.Services, rules.Exposed, rules.ClusterIPs, false, rules.OtherKind},
		{"another node's", rules.Services, rules.Exposed, rules.ExternalIPs, false, rules.NotOwner},
		{"a kind that is not known", rules.Services, rules.Exposed, 0, true, rules.NotSilent},
		{"pods and services", rules.Pods, rules.Exposed, rules.LoadBalancerIPs, true, rules.NotSilent},
		{"pods and services, another node's", rules.Pods, rules.Exposed, rules.LoadBalancerIPs, false, rules.NotOwner},
		{"pods and services, another kind", rules.Pods, rules.Exposed, rules.ClusterIPs, true, rules.NotLocal},
		{"pods alone", rules.Pods, 0, rules.LoadBalancerIPs, true, rules.NotLocal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rs := []rules.Rule{{Prefix: prefix, Method: tt.method, Kinds: tt.rule}}
			change := []rules.EntryChange{{Entry: rules.Entry{Prefix: netip.PrefixFrom(address, 128), Kinds: tt.entry, Behind: tt.behind}}}
			var before, after rules.Store // the entries come before the rules, and after them
			before.Update(rules.ServiceAddresses, change)
			for _, s := range []*rules.Store{&before, &after} {
				if err := s.SetRules(rs); err != nil {
					t.Fatal(err)
				}
			}
			after.Update(rules.ServiceAddresses, change)
			for _, s := range []*rules.Store{&before, &after} {
				if v := s.Load().View("eth0").Find(address); v.Silence != tt.want || v.Answer != (tt.want == rules.NotSilent) {
					t.Errorf("answer %t, silence %s, want %s", v.Answer, v.Silence, tt.want)
				}
			}
			after.Update(rules.ServiceAddresses, []rules.EntryChange{{Entry: change[0].Entry, Gone: true}})
			if v := after.Load().View("eth0").Find(address); v.Answer || v.Silence == rules.NotOwner {
				t.Errorf("without a service: %+v", v)
			}
		})
	}
}
