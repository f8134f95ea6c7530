// SPDX-License-Identifier: Apache-2.0

package allocator

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/ndproxyd/ndproxyd/internal/pools"
)

// What a service may ask for, by annotations. Those of MetalLB count where ours are
// missing, so that nobody has to edit services to switch.
const (
	addressesAnnotation = "ndproxyd.github.io/addresses" // one or more, with commas
	poolAnnotation      = "ndproxyd.github.io/pool"
	shareAnnotation     = "ndproxyd.github.io/share" // a key that services of one address have
)

// aliases are the annotations that count where the first is missing.
func aliases(annotation string) []string {
	switch annotation {
	case addressesAnnotation:
		return []string{annotation, "metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs"}
	case poolAnnotation:
		return []string{annotation, "metallb.io/address-pool", "metallb.universe.tf/address-pool"}
	case shareAnnotation:
		return []string{annotation, "metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"}
	}
	return nil
}

// asked returns what a service says by an annotation, "" where it says nothing.
func asked(s *corev1.Service, annotation string) string {
	for _, a := range aliases(annotation) {
		if v := strings.TrimSpace(s.Annotations[a]); v != "" {
			return v
		}
	}
	return ""
}

// counts reports whether a service is one that gets its address here.
func (c *Config) counts(s *corev1.Service) bool {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return false
	}
	if s.Spec.LoadBalancerClass == nil {
		return c.WithoutClass
	}
	return *s.Spec.LoadBalancerClass == c.Class
}

// request returns what a service asks for.
func request(s *corev1.Service) (pools.Request, error) {
	r := pools.Request{
		Service: keyOf(s), Namespace: s.Namespace,
		Has: assigned(s), Pool: asked(s, poolAnnotation), ShareKey: asked(s, shareAnnotation),
	}
	if !slices.Contains(s.Spec.IPFamilies, corev1.IPv6Protocol) {
		return r, fmt.Errorf("the service has no IPv6 address family: set ipFamilies to [IPv6], or ipFamilyPolicy to PreferDualStack")
	}
	for word := range strings.SplitSeq(asked(s, addressesAnnotation), ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		a, err := netip.ParseAddr(word)
		switch {
		case err != nil:
			return r, fmt.Errorf("the annotation %s: %q is not an address", addressesAnnotation, word)
		case a.Is4(): // of a service of both families, whose IPv4 address is somebody else's part
		case slices.Contains(r.Wanted, a):
		default:
			r.Wanted = append(r.Wanted, a)
		}
	}
	for _, p := range s.Spec.Ports {
		r.Ports = append(r.Ports, pools.Port{Protocol: string(p.Protocol), Number: p.Port})
	}
	if s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		r.Backend = "selector " + labels.Set(s.Spec.Selector).String()
	}
	return r, nil
}

// assigned returns the IPv6 addresses of a service's status.
func assigned(s *corev1.Service) []netip.Addr {
	var as []netip.Addr
	for _, in := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(in.IP); err == nil && a.Is6() {
			as = append(as, a)
		}
	}
	return as
}

// withAddresses returns a copy of a service whose status has these addresses, and those
// of IPv4 that it had, and nil where that is no change.
func withAddresses(s *corev1.Service, as []netip.Addr) *corev1.Service {
	vip := corev1.LoadBalancerIPModeVIP
	var ingress []corev1.LoadBalancerIngress
	for _, in := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(in.IP); err == nil && a.Is4() {
			ingress = append(ingress, in)
		}
	}
	for _, a := range as {
		ingress = append(ingress, corev1.LoadBalancerIngress{IP: a.String(), IPMode: &vip})
	}
	same := slices.EqualFunc(ingress, s.Status.LoadBalancer.Ingress, func(a, b corev1.LoadBalancerIngress) bool {
		return a.IP == b.IP && a.Hostname == b.Hostname && (a.IPMode == nil) == (b.IPMode == nil) && (a.IPMode == nil || *a.IPMode == *b.IPMode)
	})
	if same {
		return nil
	}
	s = s.DeepCopy()
	s.Status.LoadBalancer.Ingress = ingress
	return s
}

// nodeAddresses returns the IPv6 addresses of a node.
func nodeAddresses(n *corev1.Node) []netip.Addr {
	var as []netip.Addr
	for _, na := range n.Status.Addresses {
		if a, err := netip.ParseAddr(na.Address); err == nil && a.Is6() {
			as = append(as, a)
		}
	}
	return as
}
