// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// join begins to take part, when what there is to take part in is known.
func (c *cluster) join(now time.Time) {
	if !c.knowsAll() {
		return
	}
	c.election.Begin(now)
	c.setSelf(now)
	c.speak()
}

// knowsAll reports whether services, and who shares them, are known as a whole.
func (c *cluster) knowsAll() bool {
	return c.known[k8swatch.SourceServices] && (!c.needs.Leases || c.known[k8swatch.SourceLeases])
}

// speak has the lease written from now on, if it is time to.
func (c *cluster) speak() {
	if c.needs.Leases && c.knowsAll() && c.election.Speaks() {
		c.watcher.Announce()
	}
}

// forbidden makes this node act alone where it may not read the leases.
func (c *cluster) forbidden(source string) {
	c.locked(func(now time.Time) {
		switch source {
		case k8swatch.SourceEndpointSlices:
			c.ignoreEndpoints()
			return
		case k8swatch.SourceServices:
			c.unreadable = true
			return
		}
		if source != k8swatch.SourceLeases || c.known[source] { // who was known stays so
			return
		}
		c.owner.log.Warn("the account may not read leases: this node answers for every service address, as if no other did; two such nodes send packets in circles",
			"namespace", c.config.Namespace)
		c.election.Alone(now)
		c.setSelf(now)
	})
}

// ignoreEndpoints lets every node take traffic for a Local policy, where nobody
// may tell which has endpoints.
func (c *cluster) ignoreEndpoints() {
	if c.anyEndpoint {
		return
	}
	c.owner.log.Warn("the account may not read endpoints: Local policies of services do not count")
	c.anyEndpoint = true
	facts := make([]ownership.Fact, 0, len(c.services))
	for _, s := range c.services {
		facts = append(facts, c.fact(s))
	}
	c.election.Update(facts)
}

func (c *cluster) record() string {
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	return c.election.Record(c.wants()...)
}

func (c *cluster) renewed(err error) {
	c.locked(func(now time.Time) {
		c.leaseFault, c.leaseWell = err, c.leaseWell || err == nil
		c.setSelf(now)
	})
}

// setSelf tells the election what this node is like.
func (c *cluster) setSelf(now time.Time) {
	a := ownership.Announcer{Excluded: c.unfit(), Cordoned: c.node.Cordoned}
	// Without a lease nobody has ever known of us, nor counts on us. Later the same
	// fault is an outage like others.
	unknown := mayNot(c.leaseFault) && !c.leaseWell && !c.election.IsAlone()
	if !c.standby && !unknown {
		a.Links = c.owner.announcerLinks()
	}
	c.election.SetSelf(a, now)
}

// announcerLinks returns the uplinks that answer for services.
func (s *supervisor) announcerLinks() []ownership.Link {
	var links []ownership.Link
	for _, u := range s.uplinks {
		if u.state != Ready {
			continue
		}
		l := ownership.Link{MAC: u.link.MAC, OnLink: u.onLink(s.routes.HopsOf(u.link.Index).OnLink)}
		for _, r := range s.store.Load().Rules() {
			if r.Method == rules.Services && r.Covers(u.config.Interface) {
				l.Prefixes = append(l.Prefixes, r.Prefix)
			}
		}
		if len(l.Prefixes) > 0 {
			links = append(links, l)
		}
	}
	return links
}

// showPresence answers for our presence while we take part: who does not is not
// to be waited for.
func (c *cluster) showPresence() {
	var presence netip.Addr
	if c.needs.Leases && c.election.TakesPart() {
		presence = rules.Presence(c.config.Node)
	}
	for _, u := range c.owner.uplinks {
		if u.config.Presence == presence {
			continue
		}
		u.config.Presence = presence
		if u.iface != nil {
			u.iface = ndp.NewInterface(u.link, u.config)
		}
		if u.listener != nil {
			u.listener.SetInterface(u.iface)
		}
	}
}
