// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// explainService tells what is known of a service address, nil if it is nothing.
func (c *cluster) explainService(target netip.Addr, now time.Time) *status.ClusterEntry {
	if s, ok := c.ignored[target]; ok {
		name := nameOf(&s)
		return &status.ClusterEntry{Ignored: name, Silent: "the service " + name + " has the address, but it does not count: " + s.Ignored}
	}
	s, ok := c.services[target]
	if !ok {
		return c.explainUnknown()
	}
	e := &status.ClusterEntry{Service: nameOf(&s), Kind: kindsOf(s).String()}
	if !c.takes(target, kindsOf(s)) {
		e.Untaken = true
		return e
	}
	e.Owner, e.Backup = c.election.Owner(target)
	if c.config.Ownership != rules.OwnershipHash {
		e.Unfit = c.unfit()
	}
	if e.Node, _ = c.nodeAddresses.node(target); e.Node != "" {
		e.Silent = "node " + e.Node + " has the address as its own, and the kernel of that node answers for it"
		return e
	}
	e.Uncalled = c.calls.requests.Left[target]
	e.ByItself = c.near.byItself && e.Owner == c.config.Node
	if s.Local {
		e.Endpoints = append([]string{}, s.Nodes...)
	}
	if len(s.Uses) > 1 || slices.ContainsFunc(s.Uses, func(u k8swatch.Use) bool { return u.Nodeless || len(u.Terminating) > 0 }) {
		e.Services = c.explainUses(&s)
	}
	if e.Owner != c.config.Node {
		e.Silent = c.explainSilence(&s, e.Owner, now)
	}
	return e
}

// nameOf returns the namespace and name of the service that has an address.
func nameOf(a *k8swatch.AddressChange) string { return a.Service.Namespace + "/" + a.Service.Name }

// explainUnknown tells why no service may be known that has an address, nil where all
// services are known.
func (c *cluster) explainUnknown() *status.ClusterEntry {
	switch {
	case c.forbidden[k8swatch.SourceServices]:
		return &status.ClusterEntry{Silent: "the account may not read services, so no service address is known"}
	case !c.known[k8swatch.SourceServices]:
		return &status.ClusterEntry{Silent: "the services of the cluster are not known yet"}
	}
	return nil
}

// explainUses tells what each service does with an address.
func (c *cluster) explainUses(s *k8swatch.AddressChange) []status.ServiceUse {
	uses := make([]status.ServiceUse, len(s.Uses))
	for i := range s.Uses {
		u := &s.Uses[i]
		uses[i] = status.ServiceUse{
			Service: u.Service, Kind: string(u.Kind), Served: c.ignoresEndpoints() || u.Serves(c.config.Node),
			Local: u.Local, Nodeless: u.Nodeless, Endpoints: u.Ready, Terminating: u.Terminating,
		}
	}
	return uses
}

// explainSilence says why this node does not answer for an address that a service has.
func (c *cluster) explainSilence(s *k8swatch.AddressChange, owner string, now time.Time) string {
	here := !s.Local || c.ignoresEndpoints() || slices.Contains(s.Nodes, c.config.Node)
	switch {
	case owner != "":
		return "node " + owner + " answers for the service address"
	case !c.knowsAll():
		return "who answers for service addresses is not known yet: " + strings.Join(c.waits(), ", ")
	case c.isOthers(s.Address):
		return "the address is on the link of other nodes, and not on one of this node, where no other node announces service addresses: routers ask for it there"
	case s.Local && !c.ignoresEndpoints() && len(s.Nodes) == 0:
		return "no node answers: the service has a Local policy, and no endpoint of it serves"
	case c.config.Ownership != rules.OwnershipHash && !here:
		return "the service has a Local policy, and no endpoint of it is on this node, but on " + strings.Join(s.Nodes, ", ")
	case here && c.forbidden[k8swatch.SourceOwnLease] && !c.leaseHeld:
		return "no node answers: this one may not write its lease, without which it owns nothing"
	case s.Local && !c.ignoresEndpoints() && !here:
		return "no node answers: the service has a Local policy, and of the nodes with an endpoint (" + strings.Join(s.Nodes, ", ") + ") none announces service addresses with a rule for this one"
	case !c.election.TakesPart():
		return "no node answers: this one has no uplink that is ready with a rule for the address"
	case c.unfit() != "":
		return "this node is unfit (" + c.unfit() + "), and no other one answers"
	}
	if view := c.election.Status(now); !view.Settled {
		return "no node answers yet: this one is about to take part"
	}
	return "no node that announces service addresses has a rule for it"
}
