// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// seat is a place among the announcers.
type seat struct {
	ownership.Seat
	written int64     // by the clock of its node
	renewed time.Time // when that was seen
	// alive is true from the first renewal on that was seen to happen: the lease
	// of a node that is gone stays in lists.
	alive bool
}

// seated takes a lease over into the seats.
func (c *cluster) seated(l k8swatch.Lease, a ownership.Announcer, now time.Time) {
	a.Node = l.Node // also where its record cannot be read
	was, known := c.seats[l.Node]
	next := seat{Seat: ownership.Seat{Announcer: a, Taken: l.Made}, written: l.Renewed, renewed: now, alive: known && l.Renewed != was.written}
	if known && l.Renewed == was.written {
		next.renewed, next.alive = was.renewed, was.alive
	}
	c.seats[l.Node] = next
}

// wanted reports whether this node is to announce beside the announcers that
// there are, and notes that it stands by otherwise.
func (c *cluster) wanted(announcers []k8swatch.Lease) bool {
	is := false
	c.locked(func(now time.Time) {
		self := ownership.Seat{Announcer: ownership.Announcer{Node: c.config.Node, Links: c.owner.announcerLinks(), Excluded: c.unfit()}}
		if len(self.Links) == 0 { // rules for services may not be known yet
			self.Links = c.owner.uplinkPrefixes()
		}
		var others []ownership.Seat
		for _, l := range announcers {
			if l.Node == c.config.Node { // of the last process
				self.Taken = l.Made
				continue
			}
			a, err := ownership.ParseRecord(l.Node, l.Holder, l.Record)
			if err != nil {
				c.owner.fault("leases", err)
			}
			a.Node = l.Node // also where its record cannot be read
			others = append(others, ownership.Seat{Announcer: a, Taken: l.Made})
		}
		// Who answers already, by the configuration before, goes on until review
		// says otherwise.
		if is = len(c.services) > 0 || !ownership.Redundant(self, others) || wantedBy(others, c.config.Node); is {
			return
		}
		if !c.standby {
			c.owner.log.Info("enough other nodes announce service addresses: this one stands by until there is a seat", "announcers", len(others))
		}
		c.standby, c.others = true, len(others)
		c.setSelf(now)
	})
	return is
}

// joining ends the standby: this node is about to take a seat.
func (c *cluster) joining() {
	c.locked(func(now time.Time) {
		c.standby = false
		c.setSelf(now)
	})
}

// uplinkPrefixes returns the links that this node may come to announce on.
func (s *supervisor) uplinkPrefixes() []ownership.Link {
	var links []ownership.Link
	for _, u := range s.uplinks {
		if u.state == Ready {
			links = append(links, ownership.Link{OnLink: u.onLink(s.routes.HopsOf(u.link.Index).OnLink)})
		}
	}
	return links
}

// spareFor is how long this node has to be spare before it stands down: after an
// outage it takes a renewal of everybody until all know of all again.
const spareFor = k8swatch.LeaseTime + k8swatch.RenewTime

// review ends our part when enough others were there before us: many nodes that
// start at once do not know of each other.
func (c *cluster) review(now time.Time) {
	if !c.isSpare(now) {
		c.spareSince = time.Time{}
		return
	}
	if c.spareSince.IsZero() {
		c.spareSince = now
	}
	if c.spare || now.Sub(c.spareSince) < spareFor {
		return
	}
	c.owner.log.Info("enough other nodes have announced service addresses for longer: this one stands by", "announcers", len(c.seats)-1)
	c.spare = true
	c.follow() // what stands by in its place
}

// isSpare reports whether enough others announce, and none of them asks for us.
func (c *cluster) isSpare(now time.Time) bool {
	self, ours := c.seats[c.config.Node]
	if !ours || len(c.seats) <= ownership.MaxAnnouncers || c.election.Frozen(now) {
		return false
	}
	others := c.seatsBut(c.config.Node, now)
	return ownership.Redundant(self.Seat, others) && !wantedBy(others, c.config.Node)
}

// seatsBut returns the seats of those who announce, but for one node.
func (c *cluster) seatsBut(but string, now time.Time) (others []ownership.Seat) {
	for node, s := range c.seats {
		if node != but && s.alive && now.Sub(s.renewed) < k8swatch.LeaseTime {
			others = append(others, s.Seat)
		}
	}
	return others
}

// wantedBy reports whether an announcer asks a node to announce as well.
func wantedBy(others []ownership.Seat, node string) bool {
	return slices.ContainsFunc(others, func(o ownership.Seat) bool { return slices.Contains(o.Requests, node) })
}

// wants returns the nodes that this one asks to announce beside enough others.
func (c *cluster) wants() []string {
	if len(c.seats) < ownership.MaxAnnouncers { // whoever wants to does
		return nil
	}
	now := time.Now()
	return c.election.Requests(func(node string) bool {
		s, seated := c.seats[node]
		return seated && !ownership.Redundant(s.Seat, c.seatsBut(node, now))
	})
}

// standDown returns what follows a cluster in which this node is spare. It knows
// the pods as before, and nothing of services.
func (d *daemon) standDown(old *cluster) *cluster {
	next := newCluster(old.owner, old.config, old.needs, d.holder)
	next.follow = old.follow
	next.pods, next.prefixSource, next.cidrs, next.node, next.proxyFault = old.pods, old.prefixSource, old.cidrs, old.node, old.proxyFault
	next.ownerChanges, next.complete, next.standby, next.others = old.ownerChanges, old.complete, true, max(len(old.seats)-1, 0)
	next.client, next.watch = old.client, old.watch
	next.watch.Standby = true
	next.watcher = k8swatch.New(next.client, next.watch, next.handler())
	return next
}

// leaveAddresses falls silent for service addresses, once those who take them over
// have been heard.
func (d *daemon) leaveAddresses(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(ownership.HandOver):
	}
	s := d.supervisor
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store.Replace(rules.ServiceAddresses, nothing)
}
