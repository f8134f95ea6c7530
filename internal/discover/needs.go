// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Needs is what the rules of a configuration ask of a cluster. Its fields are
// those of k8swatch.Needs, which it converts to; this package does not import the
// Kubernetes client for them.
type Needs struct {
	Pods, Prefixes, Services bool
	// ServiceCIDRs are for the discovery of rules, and for whether a rule is about cluster
	// IPs.
	ServiceCIDRs bool
	// Leases are for one owner of each service address.
	Leases bool
}

// NeedsOf returns what the rules of the configuration ask of a cluster, and the
// zero Needs without Kubernetes.
func NeedsOf(c *config.Config) Needs {
	if c.Kubernetes == nil {
		return Needs{}
	}
	if c.DiscoverRules {
		return Needs{Pods: true, Services: true, ServiceCIDRs: true, Leases: c.Kubernetes.Ownership == rules.OwnershipHash}
	}
	var n Needs
	for _, r := range c.Rules {
		n.Pods = n.Pods || r.Method == rules.Pods
		n.Prefixes = n.Prefixes || r.Method == rules.Node
		n.Services = n.Services || r.Method == rules.Services
		n.ServiceCIDRs = n.ServiceCIDRs || r.Method == rules.Services && r.Kinds == 0 && len(c.Kubernetes.Services.Kinds) == 0
	}
	n.Leases = n.Services && c.Kubernetes.Ownership == rules.OwnershipHash
	return n
}
