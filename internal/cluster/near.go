// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// byItselfAfter is how long no other announcer is near before this node gives its lease
// back: a node that starts anew is back before.
const byItselfAfter = k8swatch.LeaseTime

// near is who may take addresses over from this node.
type near struct {
	links []ownership.Link // those that it has, or had last
	// byItself is true for a node that has given its lease back because nobody is near.
	// It answers for everything, and follows the leases of its links: who comes near
	// comes with a lease.
	byItself bool
	since    time.Time // when nobody was first seen to be near, zero while somebody is
	// peers is true while another announcer is near, as it was when addresses were last
	// decided on.
	peers bool
}

// isOthers reports whether an address is on the link of other nodes, and not on ours, and
// nobody there shares addresses with us: routers ask on that link, so it is not for us.
// Without a Node that has an address in the same /64, and on an uplink whose on-link prefix
// is not known, nobody can tell, and we answer.
func (c *cluster) isOthers(a netip.Addr) bool {
	if c.near.peers || !c.needs.Leases || len(c.near.links) == 0 || !c.nodeAddresses.prefixes[linkOf(a)] {
		return false
	}
	return !slices.ContainsFunc(c.near.links, func(l ownership.Link) bool {
		return len(l.OnLink) == 0 || slices.ContainsFunc(l.OnLink, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

// linkOf returns the /64 of an address, which nearly all links have (RFC 4291 §2.5.4).
func linkOf(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, 64).Masked() }

// decideAll decides anew who takes traffic for each address.
func (c *cluster) decideAll() {
	facts := make([]ownership.Fact, 0, len(c.services))
	for _, s := range c.services {
		facts = append(facts, c.fact(s))
	}
	c.election.Update(facts)
}

// linksNow returns the links by which leases are chosen.
func (c *cluster) linksNow() []ownership.Link {
	links := c.announcingLinks()
	if len(links) == 0 { // rules for services may not be known yet
		for _, l := range c.manager.links {
			links = append(links, ownership.Link{OnLink: l.OnLink})
		}
	}
	return links
}

// linkNames returns the links by which other nodes choose our lease, and we choose theirs.
func (c *cluster) linkNames() k8swatch.Links {
	c.manager.mu.Lock()
	defer c.manager.mu.Unlock()
	links := c.linksNow()
	names, known := ownership.LinkNames(links)
	hasPrefix := slices.ContainsFunc(links, func(l ownership.Link) bool { return len(l.OnLink) > 0 })
	return k8swatch.Links{Names: names, Unknown: !known, Early: len(links) > 0 && !hasPrefix}
}

// isNear reports whether an announcer may take addresses over from this node. While the
// links of this node are not known, everybody may.
func (c *cluster) isNear(a *ownership.Announcer) bool {
	return len(c.near.links) == 0 || (&ownership.Announcer{Links: c.near.links}).Near(a)
}

// inElection reports whether an announcer takes part in the election, as this node sees
// it. One without an uplink does, so that it is known.
func (c *cluster) inElection(a *ownership.Announcer) bool { return len(a.Links) == 0 || c.isNear(a) }

// setLinks takes over the links of this node, before the election hears of them. Who is on
// the new ones may be by itself, too, and have no lease to be seen by: a node that is takes
// a lease again.
func (c *cluster) setLinks(now time.Time) {
	links := c.linksNow()
	if len(links) == 0 || slices.EqualFunc(links, c.near.links, func(x, y ownership.Link) bool {
		return slices.Equal(x.OnLink, y.OnLink) && slices.Equal(x.Prefixes, y.Prefixes)
	}) {
		return
	}
	before := c.near.links
	c.near.links = links
	c.decideAll()
	c.watcher.LinksChanged()
	for node, s := range c.seats {
		if node == c.config.Node || len(s.Links) == 0 {
			continue
		}
		was := len(before) == 0 || (&ownership.Announcer{Links: before}).Near(&s.Announcer)
		switch is := c.isNear(&s.Announcer); {
		case is && !was && c.seats.present(node, now):
			c.election.Renewed(s.Announcer, now)
		case was && !is:
			c.election.Left(node)
		}
	}
	if c.near.byItself {
		c.manager.log.Info("the links or the rules for services are others: this node takes a lease again, for those who are near now")
		c.takeLease()
	}
}

// refresh tells the election that the leases are current: a node that is by itself has no
// renewals of its own to tell by, and goes by whether they are followed.
func (c *cluster) refresh(now time.Time) {
	if c.near.byItself && c.watcher.Follows() {
		c.election.Heard(now)
	}
}

// reviewNear gives our lease back when nobody has been near for a while.
func (c *cluster) reviewNear(now time.Time) {
	if peers := c.anyNear(now); peers != c.near.peers {
		c.near.peers = peers
		c.decideAll()
	}
	if c.near.byItself || c.near.peers || !c.mayLeave(now) { // the last one looks at all addresses
		c.near.since = time.Time{}
		return
	}
	if c.near.since.IsZero() {
		c.near.since = now
	}
	if now.Sub(c.near.since) < byItselfAfter {
		return
	}
	c.manager.log.Info("no other node that announces is near: this one answers by itself, without a lease")
	c.near.byItself = true
	c.election.Withdrawn()
	c.election.Heard(now)
	c.watcher.Withdraw()
}

// mayLeave reports whether this node is in a state to do without a lease.
func (c *cluster) mayLeave(now time.Time) bool {
	s := c.election.Status(now)
	return c.needs.Leases && c.heard[k8swatch.SourceLeases] && !c.standby && !c.leaving && c.election.TakesPart() && c.election.Speaks() &&
		s.Settled && !s.Frozen && !s.Alone && len(c.near.links) > 0
}

// anyNear reports whether any other node near has a lease that has not ended.
func (c *cluster) anyNear(now time.Time) bool {
	for node, s := range c.seats {
		if node != c.config.Node && now.Sub(s.renewed) < k8swatch.LeaseTime && c.isNear(&s.Announcer) {
			return true
		}
	}
	return false
}

// meet takes a lease again for a node that is by itself, and sees the lease of another one
// that is near.
func (c *cluster) meet(a *ownership.Announcer) {
	if !c.near.byItself || !c.isNear(a) {
		return
	}
	c.manager.log.Info("another node that announces is near: this one takes a lease again", "other", a.Node)
	c.takeLease()
}

// takeLease ends the time in which this node is by itself.
func (c *cluster) takeLease() {
	c.near.byItself, c.near.since = false, time.Time{}
	c.watcher.Announce()
}
