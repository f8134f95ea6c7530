// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// ciliumPlaceholder is the endpoint that Cilium gives the services of its Gateways and
// Ingresses, also in clusters without IPv4: the proxy of every node takes their traffic.
const ciliumPlaceholder = "192.192.192.192"

// endpoints are what counts of an EndpointSlice: where the service has endpoints that
// serve.
type endpoints struct {
	Service string // key of the service
	// Nodes have a ready endpoint. Terminating ones have none in this slice, but one
	// that still serves while it terminates (KEP-1669).
	Nodes       []string
	Terminating []string `json:",omitempty"`
	// Nodeless is how good the best endpoint is that names no node.
	Nodeless serving `json:",omitempty"`
}

// serving is how good an endpoint is.
type serving uint8

const (
	servesNot serving = iota
	servesTerminating
	servesReady
)

// readSlice returns what counts of an EndpointSlice, and false where nothing does:
// service proxies take neither the slices of headless services nor those of another
// address family.
func readSlice(object any) (endpoints, bool) {
	s, ok := object.(*discoveryv1.EndpointSlice)
	if !ok || s.Labels[discoveryv1.LabelServiceName] == "" {
		return endpoints{}, false
	}
	_, headless := s.Labels[corev1.IsHeadlessService]
	_, other := s.Labels[labelServiceProxyName]
	if headless || other {
		return endpoints{}, false
	}
	e := endpoints{Service: s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]}
	for i := range s.Endpoints {
		p := &s.Endpoints[i]
		if s.AddressType != discoveryv1.AddressTypeIPv6 && !isPlaceholder(s, p) {
			continue
		}
		e.add(p.NodeName, servingOf(p.Conditions))
	}
	e.Terminating = slices.DeleteFunc(e.Terminating, func(n string) bool { return slices.Contains(e.Nodes, n) })
	return e, len(e.Nodes)+len(e.Terminating) > 0 || e.Nodeless != servesNot
}

// isPlaceholder reports whether an IPv4 endpoint stands for the proxy of every node.
func isPlaceholder(s *discoveryv1.EndpointSlice, p *discoveryv1.Endpoint) bool {
	return s.AddressType == discoveryv1.AddressTypeIPv4 && p.NodeName == nil && slices.Contains(p.Addresses, ciliumPlaceholder)
}

// servingOf returns how good an endpoint with these conditions is. What is not said is
// ready, serving and not terminating (discovery/v1).
func servingOf(c discoveryv1.EndpointConditions) serving {
	switch {
	case c.Ready == nil || *c.Ready:
		return servesReady
	case (c.Serving == nil || *c.Serving) && c.Terminating != nil && *c.Terminating:
		return servesTerminating
	}
	return servesNot
}

func (e *endpoints) add(node *string, s serving) {
	switch {
	case s == servesNot:
	case node == nil || *node == "":
		e.Nodeless = max(e.Nodeless, s)
	case s == servesReady && !slices.Contains(e.Nodes, *node):
		e.Nodes = append(e.Nodes, *node)
	case s == servesTerminating && !slices.Contains(e.Terminating, *node):
		e.Terminating = append(e.Terminating, *node)
	}
}
