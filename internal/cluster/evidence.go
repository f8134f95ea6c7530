// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// podsChanged takes the addresses of this node's pods over.
func (c *cluster) podsChanged(pods map[netip.Addr]k8swatch.Pod) {
	c.locked(func(time.Time) {
		for a, p := range pods {
			if before, known := c.pods[a]; p.Absent == "" && !p.Additional && (!known || before.Absent != "") {
				c.manager.outbox.appeared(a)
			}
		}
		c.pods = pods
		c.replacePods()
	})
}

// awaited has new routes of single addresses not be taken for the first sign of a pod
// while a virtual machine is to arrive whose address is not known: its address may get a
// route here while the machine still runs on another node, and be announced.
func (c *cluster) awaited(is bool) {
	c.locked(func(now time.Time) {
		if is != c.awaits {
			c.awaits = is
			c.manager.store.HoldFirstSigns(is, now)
		}
	})
}

// prefixesChanged takes the prefixes of this node over.
func (c *cluster) prefixesChanged(source string, prefixes []netip.Prefix) {
	c.locked(func(time.Time) {
		if source != c.prefixSource {
			c.manager.log.Info("the prefixes of this node come from another source", "source", source, "prefixes", prefixes)
		}
		c.prefixes, c.prefixSource = prefixes, source
		c.replacePrefixes()
	})
}

// cidrsChanged takes the prefixes of the cluster's services over, which rules are
// discovered from, and which tell the rules that are about cluster IPs.
func (c *cluster) cidrsChanged(cidrs []netip.Prefix) {
	c.locked(func(time.Time) {
		c.cidrs, c.cidrsUnknown = cidrs, len(cidrs) == 0
		c.kindsChanged()
	})
}

// servicesChanged hands changed service addresses to the election.
func (c *cluster) servicesChanged(changes []k8swatch.AddressChange) {
	c.locked(func(now time.Time) {
		for _, a := range changes {
			if nameOf(&a) == "default/kubernetes" && (a.Kind == k8swatch.ClusterIP || a.Ignored != "") {
				c.kubernetes = a.Address
				c.kindsChanged()
			}
		}
		facts := make([]ownership.Fact, len(changes))
		for i, a := range changes {
			if facts[i] = c.fact(a); a.Local || c.services[a.Address].Local {
				c.calls.schedule(now)
			}
			delete(c.inherited.services, a.Address)
			a.Service.Addresses, a.Service.Ignored = nil, nil // one of them is enough here
			delete(c.ignored, a.Address)
			switch {
			case !a.Gone:
				c.services[a.Address] = a
				c.setKinds(a)
				c.outside = append(c.outside, a.Address)
				c.reportNodeAddress(a.Address, now)
				continue
			case a.Ignored != "":
				c.ignored[a.Address] = a
			}
			delete(c.services, a.Address)
			c.answered.forget(a.Address, c.manager.links)
			c.outside = append(c.outside, a.Address)
		}
		c.election.Update(facts)
	})
}

// fact returns what the election has to know of an address. What a node has as its own
// nobody owns: no node takes traffic for it but by its kernel. Nor does anybody here own
// what is on the link of others.
func (c *cluster) fact(a k8swatch.AddressChange) ownership.Fact {
	if _, ofNode := c.nodeAddresses.node(a.Address); ofNode || c.isOthers(a.Address) {
		return ownership.Fact{Address: a.Address, Gone: a.Gone, Local: true}
	}
	f := ownership.Fact{Address: a.Address, Gone: a.Gone || !c.takes(a.Address, kindsOf(a)), Local: a.Local, Nodes: a.Nodes, Shares: a.Shares}
	if c.ignoresEndpoints() {
		f.Local, f.Nodes, f.Shares = false, nil, nil
	}
	return f
}

// sourceKnown begins to take part when there is something to take part in.
func (c *cluster) sourceKnown(source string, heard bool) {
	if c.knew(source, heard) { // the watcher says so at each change
		return
	}
	c.locked(func(now time.Time) {
		c.known[source] = true
		if heard {
			c.heard[source] = true
			c.setForbidden(source, false, now) // also what the configuration before had found
			c.forgetInherited(source, now)
		}
		switch source {
		case k8swatch.SourceLeases:
			c.election.Together(now)
		case k8swatch.SourceNodeAddresses:
			for a := range c.nodeAddresses.links {
				c.reportNodeAddress(a, now)
			}
		}
		c.confirm(now)
		c.join(now)
	})
}

// knew reports whether a source is known already, and heard if it is now.
func (c *cluster) knew(source string, heard bool) bool {
	c.manager.mu.Lock()
	defer c.manager.mu.Unlock()
	return c.heard[source] || c.known[source] && !heard
}

// forgetInherited forgets what the watcher before knew and the server no longer has.
func (c *cluster) forgetInherited(source string, now time.Time) {
	switch source {
	case k8swatch.SourceServices:
		var gone []ownership.Fact
		for a := range c.inherited.services {
			gone = append(gone, ownership.Fact{Address: a, Gone: true})
			c.outside = append(c.outside, a)
			delete(c.services, a)
			c.answered.forget(a, c.manager.links)
		}
		c.inherited.services = nil
		c.election.Update(gone)
	case k8swatch.SourceLeases:
		for node := range c.inherited.leases {
			gone := c.seats[node].Announcer
			c.formers.add(&gone, now)
			delete(c.seats, node)
			c.election.Left(node)
		}
		c.readLeaseAddresses(now)
		c.inherited.leases = nil
		c.election.Heard(now)
	}
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
