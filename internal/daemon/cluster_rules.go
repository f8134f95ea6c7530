// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// needsOf returns what rules ask of a cluster, nothing without Kubernetes.
func needsOf(c *config.Config) k8swatch.Needs {
	var n k8swatch.Needs
	if c.Kubernetes == nil {
		return n
	}
	if c.DiscoverRules {
		n = k8swatch.Needs{Pods: true, Services: true, ServiceCIDRs: true}
	}
	for _, r := range c.Rules {
		n.Pods = n.Pods || r.Method == rules.Pods
		n.Prefixes = n.Prefixes || r.Method == rules.Node
		n.Services = n.Services || r.Method == rules.Services
	}
	n.Leases = n.Services && c.Kubernetes.Ownership == rules.OwnershipHash
	return n
}

// clusterRules returns the rules for the addresses that a cluster has: pods in
// the on-link prefixes of the uplinks, and its service prefixes.
func (s *supervisor) clusterRules(onLink []rules.Rule) []rules.Rule {
	var rs []rules.Rule
	services := make(map[netip.Prefix]bool)
	if s.cluster != nil { // else the first one is about to come
		for _, p := range s.cluster.cidrs {
			services[p] = true
			rs = append(rs, rules.Rule{Prefix: p, Method: rules.Services})
		}
	}
	for _, r := range onLink {
		if !services[r.Prefix] {
			r.Method = rules.Pods
			rs = append(rs, r)
		}
	}
	return rs
}

// withAnycast gives rules for services the delay that goes with more than one
// node that answers (RFC 4861 §7.2.7, §7.2.8).
func withAnycast(rs []rules.Rule) []rules.Rule {
	out := slices.Clone(rs)
	for i := range out {
		if out[i].Method == rules.Services && out[i].Delay == 0 {
			out[i].Delay = rules.MaxDelay
		}
	}
	return out
}

// forgetCluster drops everything that came from a cluster.
func (s *supervisor) forgetCluster() {
	for _, source := range []rules.Source{rules.PodAddresses, rules.NodePrefixes, rules.ServiceAddresses} {
		s.store.Replace(source, nothing)
	}
}

// nothing is what a source says of which nothing is known.
func nothing(func(rules.Entry) bool) {}
