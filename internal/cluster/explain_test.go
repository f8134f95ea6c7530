// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestExplain asks why this node does not answer for a service address.
func TestExplain(t *testing.T) {
	t.Parallel()
	local := func(nodes ...string) func(*k8swatch.AddressChange) {
		return func(c *k8swatch.AddressChange) { c.Local, c.Nodes = true, nodes }
	}
	all := func(b *bench) {
		b.configure(func(c *config.Config) { c.Kubernetes.Ownership = rules.OwnershipAll })
	}
	tests := []struct {
		name   string
		method rules.Method
		do     func(b *bench)
		silent string // part of the sentence, "" for none
	}{
		{"it answers", rules.Services, func(b *bench) { b.knowLeases(); b.services(1); b.renewSelf() }, ""},
		{"another node does", rules.Services, func(b *bench) {
			b.renew(other, otherMAC)
			b.knowLeases()
			b.services(1, local(other))
			b.renewSelf()
		}, "node n2 answers"},
		{"services are not known", rules.Services, func(*bench) {}, "not known yet"},
		{"services may not be read", rules.Services, func(b *bench) { b.last().handler.Forbidden(k8swatch.SourceServices, true) }, "may not read services"},
		{"leases are not known", rules.Services, func(b *bench) { b.services(1) }, "not known yet: leases"},
		{"no endpoint serves", rules.Services, func(b *bench) { b.knowLeases(); b.services(1, local()); b.renewSelf() }, "no endpoint of it serves"},
		{"endpoints on nodes that do not announce", rules.Services, func(b *bench) { b.knowLeases(); b.services(1, local("n7", "n8")); b.renewSelf() }, "(n7, n8) none announces"},
		{"endpoints elsewhere, and every node answers", rules.Services, func(b *bench) { all(b); b.services(1, local("n7")) }, "is on this node, but on n7"},
		{"it does not count", rules.Services, func(b *bench) {
			b.last().handler.Services([]k8swatch.AddressChange{{Address: service(0), Gone: true, Ignored: "it is headless", Service: k8swatch.Service{Namespace: "default", Name: "h"}}})
		}, "default/h has the address, but it does not count: it is headless"},
		{"it counts again", rules.Services, func(b *bench) {
			b.last().handler.Services([]k8swatch.AddressChange{{Address: service(0), Gone: true, Ignored: "it is headless"}})
			b.knowLeases()
			b.services(1)
			b.renewSelf()
		}, ""},
		{"the rule is for pods", rules.Pods, func(b *bench) { b.services(1) }, "the rule is for pods"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bench) {
				tt.do(b)
				b.wait(0)
				e := b.Explain(service(0), tt.method)
				if e == nil || !strings.Contains(e.Silent, tt.silent) || (e.Silent == "") != (tt.silent == "") {
					t.Errorf("explained as %+v, want %q", e, tt.silent)
				}
			})
		})
	}
}

// TestExplainServices asks what each service of an address does with it.
func TestExplainServices(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		b.knowLeases()
		b.services(1, func(c *k8swatch.AddressChange) {
			c.Local, c.Nodes, c.Shares = true, []string{self, other}, []uint16{256, 514}
			c.Uses = []k8swatch.Use{
				{Service: "default/a", Kind: k8swatch.LoadBalancer, Local: true, Ready: []string{other}},
				{Service: "default/b", Kind: k8swatch.LoadBalancer, Local: true, Ready: []string{other}, Terminating: []string{self}},
				{Service: "default/c", Kind: k8swatch.LoadBalancer, Nodeless: true},
			}
		})
		b.renewSelf()
		want := []string{
			"default/a (load-balancer), not served here; endpoints on n2",
			"default/b (load-balancer), served here; endpoints on n2; endpoints that terminate and still serve on n1",
			"default/c (load-balancer), served here; an endpoint names no node, so every node takes its traffic",
		}
		e := b.Explain(service(0), rules.Services)
		if len(e.Services) != len(want) {
			t.Fatalf("explained as %+v", e)
		}
		for i, u := range e.Services {
			if u.String() != want[i] {
				t.Errorf("got %q, want %q", u, want[i])
			}
		}
	})
}
