// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// seat is a place among the announcers, and when its lease was last renewed.
type seat struct {
	ownership.Seat
	renewed time.Time
}

// wanted reports whether this node is to announce beside the announcers that
// there are, and notes that it stands by otherwise.
func (c *cluster) wanted(announcers []k8swatch.Lease) bool {
	is := false
	c.locked(func(now time.Time) {
		self := ownership.Seat{Announcer: ownership.Announcer{Node: c.config.Node, Links: c.owner.uplinkPrefixes()}}
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
			others = append(others, ownership.Seat{Announcer: a, Taken: l.Made})
		}
		is = !ownership.Spare(self, others)
		if !is && !c.standby {
			c.owner.log.Info("enough other nodes announce service addresses: this one stands by until one of them is gone", "announcers", len(others))
		}
		c.standby, c.others = !is, len(others)
		c.setSelf(now)
		if !is && len(c.services) > 0 { // of the configuration before
			c.giveUp()
		}
	})
	return is
}

// uplinkPrefixes returns the links that this node would announce on, as far as it
// matters for whether it is needed. Rules for services may not be known yet.
func (s *supervisor) uplinkPrefixes() []ownership.Link {
	var links []ownership.Link
	for _, u := range s.uplinks {
		if u.state == Ready {
			links = append(links, ownership.Link{OnLink: u.onLink(s.routes.HopsOf(u.link.Index).OnLink)})
		}
	}
	return links
}

// review ends our part when enough others were there before us: many nodes that
// start at once do not know of each other.
func (c *cluster) review(now time.Time) {
	self, ours := c.seats[c.config.Node]
	if !ours || len(c.seats) <= ownership.MaxAnnouncers || c.election.Frozen(now) {
		return
	}
	var others []ownership.Seat
	for node, s := range c.seats {
		if node != c.config.Node && now.Sub(s.renewed) < k8swatch.LeaseTime {
			others = append(others, s.Seat)
		}
	}
	if !c.spare && ownership.Spare(self.Seat, others) {
		c.owner.log.Info("enough other nodes have announced service addresses for longer: this one stands by", "announcers", len(others))
		c.giveUp()
	}
}

// giveUp has this cluster replaced by one that stands by.
func (c *cluster) giveUp() {
	c.spare = true
	c.follow()
}

// standDown returns what follows a cluster in which this node is spare. It knows
// the pods as before, and nothing of services.
func (d *daemon) standDown(old *cluster) *cluster {
	next := newCluster(old.owner, old.config, old.needs, d.holder)
	next.follow = old.follow
	next.pods, next.prefixSource, next.cidrs, next.node, next.proxyFault = old.pods, old.prefixSource, old.cidrs, old.node, old.proxyFault
	next.leaseWell, next.ownerChanges, next.standby, next.others = old.leaseWell, old.ownerChanges, true, max(len(old.seats)-1, 0)
	next.watcher = old.watcher.Again(next.handler())
	return next
}

// leaveAddresses falls silent for service addresses, once those who take them over
// have been heard.
func (d *daemon) leaveAddresses(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(handover):
	}
	s := d.supervisor
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store.Replace(rules.ServiceAddresses, nothing)
}
