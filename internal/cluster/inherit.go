// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// inherited is what the watcher before knew, and the present one has not seen yet.
type inherited struct {
	services map[netip.Addr]bool
	leases   map[string]bool // by their nodes
}

// carryOver gives a cluster what another one knows of this node.
func carryOver(c, old *cluster) {
	c.awaits = old.awaits
	c.pods, c.prefixes, c.prefixSource, c.cidrs, c.node = old.pods, old.prefixes, old.prefixSource, old.cidrs, old.node
	c.absent, c.alike = old.absent, old.alike
	c.nodeAddresses.links = old.nodeAddresses.links // which are read only when they change
	c.confirms = old.confirms
	if old.isConfirmed(k8swatch.SourcePods) && old.confirms.services { // what is announced stays so
		c.confirms.until = time.Time{}
	}
	c.cidrsUnknown, c.kubernetes, c.taken, c.told = old.cidrsUnknown, old.kubernetes, old.taken, old.told
	c.ownerChanges, c.moves, c.complete = old.ownerChanges, old.moves, old.complete
	if c.config.ProxyHealth == old.config.ProxyHealth {
		c.proxy = old.proxy
	}
}

// inherit has a cluster go on where another configuration of the same one has
// stopped, so that no answer is lost while everything is read again.
func inherit(c, old *cluster) {
	if !c.needs.Services {
		c.manager.clear(rules.ServiceAddresses)
	}
	if !c.needs.Prefixes {
		c.manager.clear(rules.NodePrefixes)
	}
	if !c.needs.Pods && !c.needs.Prefixes {
		c.manager.clear(rules.PodAddresses)
	}
	a, b := c.config, old.config
	if a.Node != b.Node || a.Namespace != b.Namespace || a.Ownership != b.Ownership {
		c.manager.forget()
		return
	}
	carryOver(c, old)
	if old.watcher.Uses(c.client) { // the same account: what it may not read is not waited for again
		c.forbidden = old.forbidden
	}
	c.calledUntil = old.calledUntil
	c.leaseHeld, c.standby, c.announcers = old.leaseHeld && !old.standby, old.standby, old.announcers
	if c.needs.Services && old.needs.Services {
		inheritElection(c, old)
	}
}

// inheritElection goes on with an election. What the new watcher does not see of it
// is forgotten when it has read everything.
func inheritElection(c, old *cluster) {
	c.election, c.services, c.seats, c.nodeAddresses, c.answered = old.election, old.services, old.seats, old.nodeAddresses, old.answered
	c.leaseFault, c.namesake = old.leaseFault, old.namesake
	c.calls.requests, c.calls.reported = old.calls.requests, old.calls.reported
	c.near.links, c.near.peers = old.near.links, old.near.peers // which peers the election has follows from them
	c.suspects, c.sweep, c.formers = old.suspects, old.sweep, old.formers
	c.election.Configure(c.config.Weight, c.config.Settle)
	c.inherited = inherited{services: make(map[netip.Addr]bool, len(c.services)), leases: make(map[string]bool, len(c.seats))}
	for s := range c.services {
		c.inherited.services[s] = true
	}
	for node := range c.seats {
		c.inherited.leases[node] = true
	}
	if c.needs.Leases && !c.standby && !c.election.IsAlone() && c.election.Speaks() { // others go by what the lease says
		c.watcher.Announce()
	}
}
