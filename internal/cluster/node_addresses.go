// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// maxLeaseAddresses bounds how many addresses one lease may keep from being announced.
const maxLeaseAddresses = 64

// nodeAddresses tell which addresses the nodes of the cluster have as their own. The
// kernel of the node answers for them, so no node announces one as a service's.
type nodeAddresses struct {
	objects map[netip.Addr]string // by the Nodes of the API server
	leases  map[netip.Addr]string // by the leases of other announcers
	links   map[netip.Addr]string // of the uplinks of this node
	// prefixes are the /64 of the addresses of other Nodes.
	prefixes map[netip.Prefix]bool
}

// node returns the name of the node that has an address.
func (n *nodeAddresses) node(a netip.Addr) (name string, ok bool) {
	for _, m := range []map[netip.Addr]string{n.links, n.objects, n.leases} {
		if name, ok = m[a]; ok {
			return name, true
		}
	}
	return "", false
}

// nodeAddressesChanged takes the addresses of all Nodes over.
func (c *cluster) nodeAddressesChanged(all map[netip.Addr]string) {
	c.locked(func(now time.Time) {
		prefixes := make(map[netip.Prefix]bool)
		for a, node := range all {
			if node != c.config.Node {
				prefixes[linkOf(a)] = true
			}
		}
		changed := !maps.Equal(prefixes, c.nodeAddresses.prefixes)
		c.nodeAddresses.prefixes = prefixes
		c.setNodeAddresses(&c.nodeAddresses.objects, all, now)
		if changed {
			c.decideAll()
		}
	})
}

// readLinkAddresses takes over which addresses the uplinks of this node have.
func (c *cluster) readLinkAddresses(now time.Time) {
	all := make(map[netip.Addr]string)
	for _, l := range c.manager.links {
		for _, a := range l.Addresses {
			all[a] = c.config.Node
		}
	}
	c.setNodeAddresses(&c.nodeAddresses.links, all, now)
}

// readLeaseAddresses takes over which addresses other announcers tell of.
func (c *cluster) readLeaseAddresses(now time.Time) {
	all := make(map[netip.Addr]string)
	for _, node := range slices.Sorted(maps.Keys(c.seats)) {
		if node == c.config.Node { // its uplinks tell better
			continue
		}
		for _, a := range c.seats[node].addresses() {
			if _, taken := all[a]; !taken {
				all[a] = node
			}
		}
	}
	c.setNodeAddresses(&c.nodeAddresses.leases, all, now)
}

// addresses are those of the uplinks of the seat's node.
func (s seat) addresses() (all []netip.Addr) {
	for _, l := range s.Links {
		all = append(all, l.Addresses...)
	}
	return all[:min(len(all), maxLeaseAddresses)]
}

// setNodeAddresses replaces what one source says, and decides anew for the service
// addresses that a node has got or lost.
func (c *cluster) setNodeAddresses(source *map[netip.Addr]string, all map[netip.Addr]string, now time.Time) {
	before := *source
	*source = all
	changed := make(map[netip.Addr]bool)
	for _, m := range []map[netip.Addr]string{before, all} {
		for a := range m {
			if before[a] != all[a] {
				changed[a] = true
			}
		}
	}
	var facts []ownership.Fact
	var entries []rules.EntryChange
	for a := range changed {
		s, ok := c.services[a]
		if !ok {
			continue
		}
		facts = append(facts, c.fact(s))
		// Where nobody owned the address before nor does now, the election has no change.
		if known, ok := c.manager.store.Entry(rules.ServiceAddresses, a); ok && !known.Behind {
			entries = append(entries, rules.EntryChange{Entry: c.entry(a, now)})
		}
		c.outside = append(c.outside, a)
		c.reportNodeAddress(a, now)
	}
	if len(facts) > 0 {
		c.election.Update(facts)
		c.manager.store.Update(rules.ServiceAddresses, entries)
	}
}

// entry returns what the store has to know of a service address, but for whether this
// node answers for it.
func (c *cluster) entry(a netip.Addr, now time.Time) rules.Entry {
	_, ofNode := c.nodeAddresses.node(a)
	return rules.Entry{Prefix: single(a), NodeAddress: ofNode, Chosen: isChosen(c.services[a]), Kinds: kindsOf(c.services[a]), Since: now}
}

// reportNodeAddress tells of a service address that an uplink of this node has although
// its Node does not: another program has put it there, or whoever made the service has
// chosen an address of the node. That of a Node's status is there on purpose, as where
// the nodes themselves are the load balancer.
func (c *cluster) reportNodeAddress(a netip.Addr, now time.Time) {
	_, service := c.services[a]
	_, ofNode := c.nodeAddresses.objects[a]
	if _, here := c.nodeAddresses.links[a]; !service || !here || ofNode || !c.known[k8swatch.SourceNodeAddresses] ||
		!c.manager.reminders.due(reminder{reason: addressConflict, address: a}, now) {
		return
	}
	c.manager.log.Warn("an uplink of this node has a service address as its own: it is left to the kernel", "address", a)
	c.emit(k8swatch.Event{Warning: true, Reason: addressConflict, Message: fmt.Sprintf(
		"Node %s has %s as an address of its own: it is left to the kernel of that node. If another program has put it there, let only one of them announce it.",
		c.config.Node, a)}, a)
}
