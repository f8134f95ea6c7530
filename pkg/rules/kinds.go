// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"
	"strings"
)

// ServiceKinds is a set of kinds of service addresses. The zero value is no restriction.
type ServiceKinds uint8

// The kinds of service addresses.
const (
	// ClusterIPs are for the cluster itself: answering for one makes a service reachable
	// from outside.
	ClusterIPs ServiceKinds = 1 << iota
	// LoadBalancerIPs are in a service's status, and ExternalIPs in its externalIPs: both
	// are meant to be reached from outside.
	LoadBalancerIPs
	ExternalIPs

	// Exposed are those that somebody wants to be reached from outside.
	Exposed = LoadBalancerIPs | ExternalIPs
)

// ServiceKindNames lists the names of the kinds in configuration files, by their bits.
func ServiceKindNames() []string { return []string{"cluster-ip", "load-balancer", "external-ip"} }

// ParseServiceKind returns the kind of that name. The error lists the known ones.
func ParseServiceKind(name string) (ServiceKinds, error) {
	i := slices.Index(ServiceKindNames(), name)
	if i < 0 {
		return 0, fmt.Errorf("%q is not one of %s", name, strings.Join(ServiceKindNames(), ", "))
	}
	return 1 << i, nil
}

// Has reports whether the set has a kind of another one, or either is no restriction.
func (k ServiceKinds) Has(o ServiceKinds) bool { return k == 0 || o == 0 || k&o != 0 }

// String lists the names, "all" for no restriction.
func (k ServiceKinds) String() string {
	if k == 0 {
		return "all"
	}
	var names []string
	for i, name := range ServiceKindNames() {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// TakesServices reports whether the rule answers for service addresses.
func (r *Rule) TakesServices() bool { return r.Method == Services || r.Kinds != 0 }
