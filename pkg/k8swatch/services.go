// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ServiceKind tells which of a service's addresses one is.
type ServiceKind string

// The kinds of service addresses.
const (
	ClusterIP    ServiceKind = "cluster-ip"
	LoadBalancer ServiceKind = "load-balancer"
	ExternalIP   ServiceKind = "external-ip"
)

// Selection says which service addresses count.
type Selection struct {
	// Kinds that count; none means all.
	Kinds []ServiceKind
	// Selector is a label selector for services, "" for all.
	Selector string
	// Classes are the loadBalancerClasses whose addresses count; none means all.
	// "" stands for services without a class.
	Classes []string
}

// Service is a service with its addresses: those that count, and those that do not.
type Service struct {
	Namespace, Name, UID string
	Addresses            []ServiceAddress
	Ignored              []ServiceAddress `json:",omitempty"`
}

// ServiceAddress is one address of a service. One that the service has in two ways is
// there once for each kind.
type ServiceAddress struct {
	Address netip.Addr
	Kind    ServiceKind
	// Local is true where only nodes with an endpoint take traffic.
	Local bool
	// Why says why an address does not count: a clause about the service, such as "it is
	// headless". It is "" where the address counts.
	Why string `json:",omitempty"`
}

// readService returns the IPv6 addresses of a service, with those that do not count by
// the selection or for a service proxy.
func readService(s Selection) func(any) (Service, bool) {
	selector, err := labels.Parse(s.Selector)
	if err != nil { // the configuration is checked before
		selector = labels.Nothing()
	}
	return func(object any) (Service, bool) {
		o, ok := object.(*corev1.Service)
		if !ok {
			return Service{}, false
		}
		svc := Service{Namespace: o.Namespace, Name: o.Name, UID: string(o.UID)}
		unserved := notProxied(o)
		if unserved == "" && !selector.Matches(labels.Set(labelsOf(o))) {
			unserved = "its labels do not match kubernetes.services.selector"
		}
		add := func(kind ServiceKind, local bool, why string, words ...string) {
			for _, a := range addresses(words) {
				svc.add(ServiceAddress{Address: a, Kind: kind, Local: local, Why: cmp.Or(unserved, why, s.ignoresKind(kind))})
			}
		}
		inside := o.Spec.InternalTrafficPolicy != nil && *o.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal
		outside := o.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
		add(ClusterIP, inside, "", append([]string{o.Spec.ClusterIP}, o.Spec.ClusterIPs...)...)
		add(ExternalIP, outside, "", o.Spec.ExternalIPs...)
		for _, in := range o.Status.LoadBalancer.Ingress {
			why := s.ignoresClass(o)
			if in.IPMode != nil && *in.IPMode == corev1.LoadBalancerIPModeProxy { // traffic comes from the balancer
				why = "its load balancer takes the packets itself (ipMode: Proxy)"
			}
			add(LoadBalancer, outside, why, in.IP)
		}
		return svc, len(svc.Addresses)+len(svc.Ignored) > 0
	}
}

// add adds an address to those that count, or to those that do not.
func (s *Service) add(a ServiceAddress) {
	to := &s.Addresses
	if a.Why != "" {
		to = &s.Ignored
	}
	if !slices.ContainsFunc(*to, func(has ServiceAddress) bool { return has.Address == a.Address && has.Kind == a.Kind }) {
		*to = append(*to, a)
	}
}

// notProxied says why no service proxy takes IPv6 packets for a service, "" where it
// does. It is what kube-proxy looks at.
func notProxied(o *corev1.Service) string {
	ips := slices.DeleteFunc(append([]string{o.Spec.ClusterIP}, o.Spec.ClusterIPs...), func(ip string) bool { return ip == "" })
	switch _, other := o.Labels[labelServiceProxyName]; {
	case o.Spec.Type == corev1.ServiceTypeExternalName:
		return "its type is ExternalName, so no service proxy takes packets for it"
	case o.Spec.ClusterIP == corev1.ClusterIPNone:
		return "it is headless (clusterIP: None), so no service proxy takes packets for it"
	case other:
		return "its label " + labelServiceProxyName + " leaves it to another service proxy"
	case len(ips) > 0 && len(addresses(ips)) == 0:
		return "it has no IPv6 cluster IP, so no service proxy takes IPv6 packets for it"
	}
	return ""
}

// labelServiceProxyName keeps service proxies from a service, see
// https://kubernetes.io/docs/reference/labels-annotations-taints/.
const labelServiceProxyName = "service.kubernetes.io/service-proxy-name"

// ignoresKind says why addresses of a kind do not count, "" where they do.
func (s Selection) ignoresKind(kind ServiceKind) string {
	if len(s.Kinds) == 0 || slices.Contains(s.Kinds, kind) {
		return ""
	}
	return "neither kubernetes.services.kinds nor a rule has the kind " + string(kind)
}

// ignoresClass says why the load-balancer addresses of a service do not count, "" where
// they do.
func (s Selection) ignoresClass(o *corev1.Service) string {
	if s.hasClass(o) {
		return ""
	}
	if o.Spec.LoadBalancerClass == nil {
		return "it has no loadBalancerClass, and kubernetes.services.load_balancer_classes asks for one"
	}
	return fmt.Sprintf("its loadBalancerClass %s is not in kubernetes.services.load_balancer_classes", *o.Spec.LoadBalancerClass)
}

func (s Selection) hasClass(o *corev1.Service) bool {
	class := ""
	if o.Spec.LoadBalancerClass != nil {
		class = *o.Spec.LoadBalancerClass
	}
	return len(s.Classes) == 0 || slices.Contains(s.Classes, class)
}

func readServiceCIDR(object any) ([]netip.Prefix, bool) {
	c, ok := object.(*networkingv1.ServiceCIDR)
	if !ok {
		return nil, false
	}
	ps := prefixes(c.Spec.CIDRs)
	return ps, len(ps) > 0
}
