// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestServiceKinds follows service addresses into the store while what the rules take of
// them changes.
func TestServiceKinds(t *testing.T) {
	t.Parallel()
	const n = 3
	kubernetes := func(b *bench) {
		b.last().handler.Services([]k8swatch.AddressChange{{
			Address: service(500), Kind: k8swatch.ClusterIP, Service: k8swatch.Service{Namespace: "default", Name: "kubernetes"},
		}})
	}
	set := func(kinds ...string) func(c *config.Config) {
		return func(c *config.Config) { c.Kubernetes.Services.Kinds = kinds }
	}
	rule := func(p netip.Prefix, kinds rules.ServiceKinds) func(c *config.Config) {
		return func(c *config.Config) { c.Rules = []rules.Rule{{Prefix: p, Method: rules.Services, Kinds: kinds}} }
	}
	cidr := func(p netip.Prefix) func(b *bench) {
		return func(b *bench) { b.last().handler.ServiceCIDRs([]netip.Prefix{p}) }
	}
	wider, elsewhere := netip.MustParsePrefix("2001:db8:1:0:5::/96"), netip.MustParsePrefix("2001:db8:1:0:6::/112")
	tests := []struct {
		name   string
		config func(c *config.Config)
		kind   k8swatch.ServiceKind
		then   func(b *bench)
		want   int
	}{
		{"cluster IPs", nil, k8swatch.ClusterIP, nil, 0},
		{"load-balancer addresses", nil, k8swatch.LoadBalancer, nil, n},
		{"cluster IPs by the rule", rule(servicePrefix, rules.ClusterIPs), k8swatch.ClusterIP, nil, n},
		{"cluster IPs by services.kinds", set("cluster-ip"), k8swatch.ClusterIP, nil, n},
		{"load-balancer addresses, of which services.kinds says nothing", set("cluster-ip"), k8swatch.LoadBalancer, nil, 0},
		{"cluster IPs of the range of the rule", nil, k8swatch.ClusterIP, cidr(servicePrefix), n},
		{"cluster IPs of a wider range", nil, k8swatch.ClusterIP, cidr(wider), n},
		{"cluster IPs of another range", nil, k8swatch.ClusterIP, cidr(elsewhere), 0},
		{"cluster IPs of the range of the rule, then of another one", nil, k8swatch.ClusterIP, func(b *bench) {
			cidr(servicePrefix)(b)
			b.wait(0)
			cidr(elsewhere)(b)
		}, 0},
		{"a rule that is wider than the range", rule(wider, 0), k8swatch.ClusterIP, cidr(servicePrefix), 0},
		{"the range may not be read", nil, k8swatch.ClusterIP, func(b *bench) {
			kubernetes(b)
			b.last().handler.Forbidden(k8swatch.SourceServiceCIDRs, true)
		}, n},
		{"the server has no ranges", nil, k8swatch.ClusterIP, func(b *bench) {
			b.last().handler.ServiceCIDRs(nil)
			kubernetes(b)
		}, n},
		{"the range may not be read, and the rule is as wide as the link", rule(onLink, 0), k8swatch.ClusterIP, func(b *bench) {
			kubernetes(b)
			b.last().handler.Forbidden(k8swatch.SourceServiceCIDRs, true)
		}, 0},
		{"another kind from now on", nil, k8swatch.ClusterIP, func(b *bench) {
			b.services(n, func(c *k8swatch.AddressChange) { c.More = []k8swatch.ServiceKind{k8swatch.ExternalIP} })
		}, n},
		{"another kind from now on, in one change with the service kubernetes in the range of another rule", func(c *config.Config) {
			c.Rules = append(slices.Clone(c.Rules), rules.Rule{Prefix: elsewhere, Method: rules.Services})
		}, k8swatch.ClusterIP, func(b *bench) {
			b.last().handler.ServiceCIDRs(nil)
			changes := []k8swatch.AddressChange{{
				Address: elsewhere.Addr().Next(), Kind: k8swatch.ClusterIP, Service: k8swatch.Service{Namespace: "default", Name: "kubernetes"},
			}}
			for i := range n {
				changes = append(changes, k8swatch.AddressChange{Address: service(i), Kind: k8swatch.LoadBalancer})
			}
			b.last().handler.Services(changes)
		}, n},
		{"no service any more", nil, k8swatch.ClusterIP, func(b *bench) {
			for i := range n {
				b.last().handler.Services([]k8swatch.AddressChange{{Address: service(i), Gone: true}})
			}
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bench) {
				if tt.config != nil {
					b.configure(tt.config)
				}
				reconcile := func() { // as the daemon does when something has changed
					if err := b.store.SetRules(discover.Rules(b.config, nil, b.ServiceCIDRs())); err != nil {
						t.Fatal(err)
					}
					b.UplinksChanged()
					b.wait(0)
				}
				reconcile()
				b.knowLeases()
				b.services(n, func(c *k8swatch.AddressChange) { c.Kind = tt.kind })
				b.renewSelf()
				if tt.then != nil {
					tt.then(b)
					b.wait(0)
				}
				b.wantAnswered("before the rules follow", n, tt.want)
				reconcile()
				b.wantAnswered("after", n, tt.want)
				answered := 0
				for i := range n {
					v := b.store.Load().View(uplink).Find(service(i))
					if v.Answer {
						answered++
					}
					_, has := b.store.Entry(rules.ServiceAddresses, service(i))
					if v.Silence == rules.NotAllocated && has || v.Silence == rules.NotOwner {
						t.Errorf("%s is silent: %s", service(i), v.Silence)
					}
				}
				if answered != tt.want {
					t.Errorf("%d are answered, want %d", answered, tt.want)
				}
			})
		})
	}
}

// TestRuleKinds reads services of the kinds that a rule has and the configuration has not.
func TestRuleKinds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		b.configure(func(c *config.Config) {
			c.Kubernetes.Services.Kinds = []string{"load-balancer"}
			c.Rules = []rules.Rule{{Prefix: servicePrefix, Method: rules.Services, Kinds: rules.ClusterIPs}}
		})
		if got := fmt.Sprint(b.last().config.Selection.Kinds); got != "[load-balancer cluster-ip]" {
			t.Errorf("the watcher selects %s", got)
		}
		watchers := len(b.watchers)
		b.configure(func(c *config.Config) { c.Rules = nil })
		if got := fmt.Sprint(b.last().config.Selection.Kinds); len(b.watchers) == watchers || got != "[load-balancer]" {
			t.Errorf("without the rule the watcher selects %s", got)
		}
	})
}

// TestKindChanges makes a cluster IP an external address, and the other way round: whether
// it was chosen by somebody follows, though its owner stays.
func TestKindChanges(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		b.configure(func(c *config.Config) { c.Kubernetes.Services.Kinds = []string{"cluster-ip", "external-ip"} })
		b.knowLeases()
		for _, kind := range []k8swatch.ServiceKind{k8swatch.ClusterIP, k8swatch.ExternalIP, k8swatch.ClusterIP} {
			b.services(1, func(c *k8swatch.AddressChange) { c.Kind = kind })
			if e, ok := b.store.Entry(rules.ServiceAddresses, service(0)); !ok || !e.Behind || e.Chosen != (kind == k8swatch.ExternalIP) {
				t.Errorf("%s: the entry is %+v", kind, e)
			}
		}
	})
}

// TestKindCounts counts service addresses by what they are.
func TestKindCounts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		b.configure(func(c *config.Config) { c.Rules[0].Kinds = rules.Exposed })
		if err := b.store.SetRules(b.config.Rules); err != nil {
			t.Fatal(err)
		}
		b.UplinksChanged()
		b.knowLeases()
		i := 0
		b.services(6, func(c *k8swatch.AddressChange) {
			c.Kind = []k8swatch.ServiceKind{k8swatch.ClusterIP, k8swatch.LoadBalancer, k8swatch.ExternalIP}[i%3]
			i++
		})
		b.renewSelf()
		var got []string
		for _, k := range b.Status().Kinds {
			got = append(got, fmt.Sprint(k.Kind, " ", k.Known, "/", k.Answered))
		}
		if want := "cluster-ip 2/0, load-balancer 2/2, external-ip 2/2"; strings.Join(got, ", ") != want {
			t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
		}
		if e := b.Explain(service(0), rules.Services); e == nil || !e.Untaken || e.Kind != "cluster-ip" {
			t.Errorf("explained as %+v", e)
		}
	})
}
