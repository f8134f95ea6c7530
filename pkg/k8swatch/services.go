// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
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

// Service is a service with the addresses of it that count.
type Service struct {
	Namespace, Name, UID string
	Addresses            []ServiceAddress
}

// ServiceAddress is one address of a service.
type ServiceAddress struct {
	Address netip.Addr
	Kind    ServiceKind
	// Local is true where only nodes with a ready endpoint take traffic.
	Local bool
}

// readService returns what counts of a service by the selection.
func readService(s Selection) func(any) (Service, bool) {
	selector, err := labels.Parse(s.Selector)
	if err != nil { // the configuration is checked before
		selector = labels.Nothing()
	}
	counts := func(k ServiceKind) bool { return len(s.Kinds) == 0 || slices.Contains(s.Kinds, k) }
	return func(object any) (Service, bool) {
		o, ok := object.(*corev1.Service)
		if !ok || o.Spec.Type == corev1.ServiceTypeExternalName || !selector.Matches(labels.Set(labelsOf(o))) {
			return Service{}, false
		}
		svc := Service{Namespace: o.Namespace, Name: o.Name, UID: string(o.UID)}
		add := func(kind ServiceKind, local bool, words ...string) {
			if !counts(kind) {
				return
			}
			for _, a := range addresses(words) {
				if !slices.ContainsFunc(svc.Addresses, func(has ServiceAddress) bool { return has.Address == a }) {
					svc.Addresses = append(svc.Addresses, ServiceAddress{Address: a, Kind: kind, Local: local})
				}
			}
		}
		inside := o.Spec.InternalTrafficPolicy != nil && *o.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal
		outside := o.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
		add(ClusterIP, inside, append([]string{o.Spec.ClusterIP}, o.Spec.ClusterIPs...)...)
		add(ExternalIP, outside, o.Spec.ExternalIPs...)
		if s.hasClass(o) {
			for _, in := range o.Status.LoadBalancer.Ingress {
				if in.IPMode == nil || *in.IPMode != corev1.LoadBalancerIPModeProxy { // traffic comes from the balancer otherwise
					add(LoadBalancer, outside, in.IP)
				}
			}
		}
		return svc, len(svc.Addresses) > 0
	}
}

func (s Selection) hasClass(o *corev1.Service) bool {
	class := ""
	if o.Spec.LoadBalancerClass != nil {
		class = *o.Spec.LoadBalancerClass
	}
	return len(s.Classes) == 0 || slices.Contains(s.Classes, class)
}

// endpoints are what counts of an EndpointSlice: where its service has ready
// endpoints.
type endpoints struct {
	Service string // key of the service
	Nodes   []string
}

func readSlice(object any) (endpoints, bool) {
	s, ok := object.(*discoveryv1.EndpointSlice)
	if !ok || s.Labels[discoveryv1.LabelServiceName] == "" {
		return endpoints{}, false
	}
	e := endpoints{Service: s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]}
	for _, p := range s.Endpoints {
		// No word about readiness means ready (discovery/v1).
		if p.NodeName != nil && (p.Conditions.Ready == nil || *p.Conditions.Ready) && !slices.Contains(e.Nodes, *p.NodeName) {
			e.Nodes = append(e.Nodes, *p.NodeName)
		}
	}
	return e, true
}

func readServiceCIDR(object any) ([]netip.Prefix, bool) {
	c, ok := object.(*networkingv1.ServiceCIDR)
	if !ok {
		return nil, false
	}
	ps := prefixes(c.Spec.CIDRs)
	return ps, len(ps) > 0
}
