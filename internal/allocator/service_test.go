// SPDX-License-Identifier: Apache-2.0

package allocator

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/internal/pools"
)

func service(change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Annotations: make(map[string]string)},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv6Protocol},
			Ports: []corev1.ServicePort{{Protocol: corev1.ProtocolTCP, Port: 443}}, Selector: map[string]string{"b": "2", "a": "1"},
		},
	}
	for _, c := range change {
		c(s)
	}
	return s
}

func annotated(pairs ...string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		for i := 0; i < len(pairs); i += 2 {
			s.Annotations[pairs[i]] = pairs[i+1]
		}
	}
}

func TestRequest(t *testing.T) {
	a := netip.MustParseAddr
	want := func(change func(*pools.Request)) pools.Request {
		r := pools.Request{Service: "shop/web", Namespace: "shop", Ports: []pools.Port{{Protocol: "TCP", Number: 443}}}
		change(&r)
		return r
	}
	tests := []struct {
		name  string
		s     *corev1.Service
		want  pools.Request
		fails string
	}{
		{"plain", service(), want(func(*pools.Request) {}), ""},
		{"what it has", service(func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}, {IP: "2001:db8::1"}, {Hostname: "x"}}
		}), want(func(r *pools.Request) { r.Has = []netip.Addr{a("2001:db8::1")} }), ""},
		{"wishes", service(annotated("ndproxyd.github.io/addresses", "2001:db8::5, 2001:db8::6,192.0.2.7", "ndproxyd.github.io/pool", "p", "ndproxyd.github.io/share", "k")),
			want(func(r *pools.Request) {
				r.Wanted, r.Pool, r.ShareKey = []netip.Addr{a("2001:db8::5"), a("2001:db8::6")}, "p", "k"
			}), ""},
		{"MetalLB's words", service(annotated("metallb.io/loadBalancerIPs", "2001:db8::5", "metallb.universe.tf/address-pool", "p", "metallb.io/allow-shared-ip", "k")),
			want(func(r *pools.Request) { r.Wanted, r.Pool, r.ShareKey = []netip.Addr{a("2001:db8::5")}, "p", "k" }), ""},
		{"ours before MetalLB's", service(annotated("metallb.io/loadBalancerIPs", "2001:db8::5", "ndproxyd.github.io/addresses", "2001:db8::6")),
			want(func(r *pools.Request) { r.Wanted = []netip.Addr{a("2001:db8::6")} }), ""},
		{"spec.loadBalancerIP does not count", service(func(s *corev1.Service) { s.Spec.LoadBalancerIP = "2001:db8::9" }), want(func(*pools.Request) {}), ""},
		{"a Local policy", service(func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }),
			want(func(r *pools.Request) { r.Backend = "selector a=1,b=2" }), ""},
		{"no IPv6", service(func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol} }), pools.Request{}, "no IPv6 address family"},
		{"no address", service(annotated("ndproxyd.github.io/addresses", "web")), pools.Request{}, `"web" is not an address`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := request(tt.s)
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("%v, want %q", err, tt.fails)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
		})
	}
}

func TestCounts(t *testing.T) {
	class := func(c string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &c }
	}
	tests := []struct {
		name          string
		s             *corev1.Service
		with, without bool // without_class
	}{
		{"our class", service(class("ndproxyd")), true, true},
		{"another class", service(class("example.org/other")), false, false},
		{"no class", service(), true, false},
		{"another type", service(class("ndproxyd"), func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }), false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			with, without := &Config{Class: DefaultClass, WithoutClass: true}, &Config{Class: DefaultClass}
			if with.counts(tt.s) != tt.with || without.counts(tt.s) != tt.without {
				t.Errorf("counts: %t and %t", with.counts(tt.s), without.counts(tt.s))
			}
		})
	}
}

func TestParse(t *testing.T) {
	tests := []struct{ name, text, fails string }{
		{"good", "version: 1\nwithout_class: true\npools:\n  - {name: p, prefixes: [\"2001:db8::1:0/112\"], namespaces: [shop]}\n", ""},
		{"empty", "", `write "version: 1"`},
		{"no pools", "version: 1\n", "no pool is configured"},
		{"an unknown key", "version: 1\npool: []\n", "line 2: field pool not found"},
		{"no prefix", "version: 1\npools: [{name: p, prefixes: [many]}]\n", `pool "p": "many" is not a prefix`},
		{"no class", "version: 1\nclass: a b\npools: [{name: p, prefixes: [\"2001:db8::1:0/112\"]}]\n", `class "a b"`},
		{"not YAML", "version: [", "yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.text))
			if tt.fails == "" && err != nil || tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
				t.Errorf("%v, want %q", err, tt.fails)
			}
		})
	}
}
