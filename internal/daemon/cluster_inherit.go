// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// inherit goes on where another configuration of the same cluster has stopped, so
// that no answer is lost while everything is read again.
func (c *cluster) inherit(old *cluster) {
	a, b := c.config, old.config
	if !c.needs.Services {
		c.owner.store.Replace(rules.ServiceAddresses, nothing)
	}
	if !c.needs.Prefixes {
		c.owner.store.Replace(rules.NodePrefixes, nothing)
	}
	if !c.needs.Pods && !c.needs.Prefixes {
		c.owner.store.Replace(rules.PodAddresses, nothing)
	}
	if a.Node != b.Node || a.Namespace != b.Namespace || a.Ownership != b.Ownership {
		c.owner.forgetCluster()
		return
	}
	c.leaseWell, c.standby, c.others = old.leaseWell && !old.standby, old.standby, old.others
	c.pods, c.prefixSource, c.cidrs, c.node, c.proxyFault = old.pods, old.prefixSource, old.cidrs, old.node, old.proxyFault
	c.ownerChanges, c.complete = old.ownerChanges, old.complete
	if !c.needs.Services || !old.needs.Services {
		return
	}
	c.election, c.services, c.seats = old.election, old.services, old.seats
	c.election.Configure(a.Weight, a.Settle)
	c.inherited, c.inheritedOf = make(map[netip.Addr]bool, len(c.services)), make(map[string]bool, len(c.seats))
	for s := range c.services {
		c.inherited[s] = true
	}
	for node := range c.seats {
		c.inheritedOf[node] = true
	}
	if c.needs.Leases && !c.standby && !c.election.IsAlone() && c.election.Speaks() { // others go by what the lease says
		c.watcher.Announce()
	}
}

// forgetInherited forgets what the last watcher knew and the server has no more.
func (c *cluster) forgetInherited(source string, now time.Time) {
	switch source {
	case k8swatch.SourceServices:
		var gone []ownership.Fact
		for s := range c.inherited {
			gone = append(gone, ownership.Fact{Address: s, Gone: true})
			delete(c.services, s)
		}
		c.inherited = nil
		c.election.Update(gone)
	case k8swatch.SourceLeases:
		for node := range c.inheritedOf {
			delete(c.seats, node)
			c.election.Left(node)
		}
		c.inheritedOf = nil
		c.election.Heard(now)
	}
}
