// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// isForbidden reports whether a request failed for want of a permission.
func isForbidden(err error) bool { return apierrors.IsForbidden(err) }

// join begins to take part, if what there is to take part in is known.
func (c *cluster) join(now time.Time) {
	if !c.knowsAll() {
		return
	}
	c.election.Begin(now)
	c.setSelf(now)
	c.speak()
}

// speak has the lease written from now on, if the election has something to say.
func (c *cluster) speak() {
	if c.needs.Leases && c.knowsAll() && c.election.Speaks() && !c.near.byItself {
		c.watcher.Announce()
	}
}

// record returns what this node's lease says of it.
func (c *cluster) record() string {
	c.manager.mu.Lock()
	defer c.manager.mu.Unlock()
	return c.election.Record(c.election.Calls(c.calls.requests.Nodes)...)
}

// renewed takes in what became of the last renewal of our lease.
func (c *cluster) renewed(err error) {
	c.locked(func(now time.Time) {
		c.leaseFault, c.leaseHeld = err, c.leaseHeld || err == nil
		c.noteNamesake(err)
		if err == nil {
			c.setForbidden(k8swatch.SourceOwnLease, false, now)
		}
		c.setSelf(now)
	})
}

// nodeChanged takes over what our Node says of its fitness.
func (c *cluster) nodeChanged(n k8swatch.NodeState) {
	c.locked(func(now time.Time) {
		c.node = n
		c.setSelf(now)
	})
}

// absentChanged takes in whether the cluster has a Node of this name.
func (c *cluster) absentChanged(is bool, alike []string) {
	c.locked(func(time.Time) { c.absent, c.alike = is, alike })
}

// proxyAnswered takes in why the service proxy is not well, "" where it is.
func (c *cluster) proxyAnswered(fault string) {
	c.manager.mu.Lock()
	was := c.proxy.fault
	now := c.proxy.observe(fault)
	c.manager.mu.Unlock()
	if fault == "" && !c.proxyTold {
		c.proxyTold = true
		c.watcher.ProxySeen(c.config.ProxyHealth)
	}
	switch {
	case now == was:
		return
	case now != "":
		c.manager.log.Warn("the service proxy is not well: other nodes go first for service addresses", "why", now)
	default:
		c.manager.log.Info("the service proxy is well again")
	}
	c.locked(c.setSelf)
}

// proxyKnown takes over that the last process has seen a service proxy that was well.
func (c *cluster) proxyKnown(url string) {
	c.manager.mu.Lock()
	defer c.manager.mu.Unlock()
	c.proxy.seen = c.proxy.seen || url == c.config.ProxyHealth
}

// leaseChanged hands the renewal or the end of an announcer's lease to the election.
func (c *cluster) leaseChanged(l k8swatch.Lease, gone bool) {
	c.locked(func(now time.Time) {
		if l.Node == c.config.Node {
			c.ownLeaseChanged(l, gone, now)
		}
		was, known := c.seats[l.Node]
		again := c.inherited.leases[l.Node] && known && !gone && l.Holder == was.Holder && l.Renewed <= was.written
		delete(c.inherited.leases, l.Node)
		if again { // no renewal: the watcher before has told of it
			return
		}
		if gone {
			c.formers.add(&was.Announcer, now)
			delete(c.seats, l.Node)
			c.election.Left(l.Node)
			c.calls.schedule(now)
			c.manager.trouble.Report(leaseOf(l.Node), nil)
			c.readLeaseAddresses(now)
			return
		}
		a, err := ownership.ParseRecord(l.Node, l.Holder, l.Record)
		if !c.seats.present(l.Node, now) || l.Node == c.config.Node {
			c.calls.schedule(now) // at each renewal of ours, too: others' leases may have ended
		}
		renewed := !known || l.Renewed != was.written
		c.seats.renewed(l, a, now)
		c.manager.trouble.Report(leaseOf(l.Node), err)
		if err != nil {
			return
		}
		if !slices.Equal(was.addresses(), c.seats[l.Node].addresses()) {
			c.readLeaseAddresses(now)
		}
		switch {
		case l.Node == c.config.Node, c.inElection(&a):
			c.election.Renewed(a, now)
		case known: // it has moved to another link
			c.election.Left(l.Node)
		}
		if renewed && (l.Node != c.config.Node || l.Holder != c.manager.holder) {
			c.meet(&a)
		}
		c.reviewNear(now)
		c.due(now) // others' leases may have ended meanwhile
		c.review(now)
	})
}

// leaseOf names the lease of a node as a cause of trouble.
func leaseOf(node string) string { return "lease of node " + node }

// setSelf tells the election what this node is like.
func (c *cluster) setSelf(now time.Time) {
	c.setLinks(now)
	a := ownership.Announcer{Excluded: c.unfit(), Cordoned: c.node.Cordoned}
	// Without a lease nobody has ever known of us, nor counts on us. Later the same
	// fault is an outage like others. The lease of the last process is good for a server
	// that starts.
	_, seated := c.seats[c.config.Node]
	unknown := isForbidden(c.leaseFault) && !c.leaseHeld && !c.election.IsAlone() && (!seated || c.forbidden[k8swatch.SourceOwnLease])
	if !c.standby && !unknown && !c.hasNamesake() {
		a.Links = c.announcingLinks()
	}
	c.election.SetRouters(c.routers())
	c.election.SetSelf(a, now)
	if a.Excluded != "" {
		post(c.standIns)
	}
}

// announcingLinks returns the uplinks that answer for services.
func (c *cluster) announcingLinks() []ownership.Link {
	table := c.manager.store.Load()
	if table == nil { // before the first configuration
		return nil
	}
	var links []ownership.Link
	for _, l := range c.manager.links {
		link := ownership.Link{MAC: l.MAC, OnLink: l.OnLink, Addresses: l.Addresses}
		for _, r := range table.Rules() {
			if r.TakesServices() && r.Covers(l.Name) {
				link.Prefixes = append(link.Prefixes, r.Prefix)
			}
		}
		if len(link.Prefixes) > 0 {
			links = append(links, link)
		}
	}
	return links
}

// routers returns the routers of all uplinks.
func (c *cluster) routers() (all []netip.Addr) {
	for _, l := range c.manager.links {
		all = append(all, l.Routers...)
	}
	return all
}

// due does what the election has to do now.
func (c *cluster) due(now time.Time) {
	c.refresh(now)
	c.confirm(now)
	c.manager.outbox.ask(c.election.Due(now))
	c.learn(now)
	c.updateCalls(now)
	if _, ok := c.rivalsDue(); ok {
		c.askRivals(now)
		c.askWhoElse(now)
	}
	c.publish(now)
}

// publish puts what the election has changed in force.
func (c *cluster) publish(now time.Time) {
	changes := c.election.Changes(now)
	entries, again := c.entriesOf(changes, now)
	for _, ch := range changes {
		if ch.Owner != ch.Before && ch.Before != "" && ch.Owner != "" {
			c.ownerChanges++
			c.moves.add(ch.Address, now)
			c.handovers.add(ch, c.config.Node)
		}
	}
	entries = append(entries, c.outsideEntries(now)...)
	if len(entries) > 0 {
		c.manager.store.Update(rules.ServiceAddresses, entries)
	}
	if len(again) > 0 {
		c.manager.store.Update(rules.ServiceAddresses, again)
	}
	c.reportContests(now)
	c.handovers.flush(c.manager.log, c.emit, now)
	c.showPresence()
	if c.election.RecordChanged() && c.needs.Leases && !c.near.byItself {
		c.speak()
		c.watcher.Renew()
	}
}

// entriesOf returns what changes of the election make of the store's entries, and what is
// to be put in force after that: what is announced again is so as if it left and came
// back, unless it has left for good meanwhile.
func (c *cluster) entriesOf(changes []ownership.Change, now time.Time) (entries, again []rules.EntryChange) {
	entries = make([]rules.EntryChange, len(changes))
	var back map[netip.Addr]rules.EntryChange // the last entry of each address to announce
	for i, ch := range changes {
		// Ours but another's: it is answered for until the owner announces it, which
		// we no longer do.
		leaving := ch.Ours && ch.Owner != c.config.Node
		entries[i] = rules.EntryChange{Entry: c.entry(ch.Address, now), Gone: ch.Gone}
		entries[i].Behind, entries[i].Leaving = ch.Ours, leaving
		entries[i].Unconfirmed = ch.Ours && !c.confirms.services
		if _, comes := back[ch.Address]; ch.Announce || comes {
			if back == nil {
				back = make(map[netip.Addr]rules.EntryChange)
			}
			back[ch.Address] = entries[i]
			entries[i].Leaving = ch.Ours
		}
	}
	for _, e := range back {
		if e.Behind && !e.Leaving {
			again = append(again, e)
		}
	}
	return entries, again
}

// showPresence has the uplinks answer for our presence while we take part: nobody
// should wait for a node that does not.
func (c *cluster) showPresence() {
	var p presence
	if c.needs.Leases && c.election.TakesPart() {
		p = presence{rules.Presence(c.config.Node), c.election.Witnessed()}
	}
	c.manager.setPresence(p)
}
