// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// redundantFor is how long this node has to be redundant before it stands by: after
// an outage it takes a renewal of everybody until all know of all again.
const redundantFor = k8swatch.LeaseTime + k8swatch.RenewTime

// wanted reports whether this node is to announce beside the announcers that there
// are, and has it stand by otherwise.
func (c *cluster) wanted(announcers []k8swatch.Lease, all int) bool {
	wanted := false
	c.locked(func(now time.Time) {
		self, others := c.candidates(announcers)
		// Who answers already, by the configuration before, goes on until review
		// says otherwise.
		wanted = len(c.services) > 0 || !ownership.Redundant(self, others, all) || c.isCalled(others, now)
		if wanted {
			return
		}
		if !c.standby {
			c.manager.log.Info("enough other nodes announce service addresses: this one stands by until there is a seat", "announcers", len(others))
		}
		c.standby, c.announcers = true, len(others)
		c.setSelf(now)
	})
	return wanted
}

// candidates returns the seat that this node would have, and those of others.
func (c *cluster) candidates(announcers []k8swatch.Lease) (self ownership.Seat, others []ownership.Seat) {
	self.Announcer = ownership.Announcer{Node: c.config.Node, Links: c.linksNow(), Excluded: c.unfit()}
	for _, l := range announcers {
		if l.Node == c.config.Node { // of the last process
			self.Taken = l.Made
			continue
		}
		a, err := ownership.ParseRecord(l.Node, l.Holder, l.Record)
		c.manager.trouble.Report(leaseOf(l.Node), err)
		a.Node = l.Node // also where its record cannot be read
		others = append(others, ownership.Seat{Announcer: a, Taken: l.Made})
	}
	return self, others
}

// joining ends the standby: this node is about to take a seat.
func (c *cluster) joining() {
	c.locked(func(now time.Time) {
		c.standby = false
		c.setSelf(now)
	})
}

// review ends our part if enough others were there before us: many nodes that start
// at once do not know of each other.
func (c *cluster) review(now time.Time) {
	if !c.isRedundant(now) {
		c.redundantSince = time.Time{}
		return
	}
	if c.redundantSince.IsZero() {
		c.redundantSince = now
	}
	if c.leaving || now.Sub(c.redundantSince) < redundantFor {
		return
	}
	c.manager.log.Info("enough other nodes have announced service addresses for longer: this one stands by", "announcers", len(c.seats)-1)
	c.leaving = true
	post(c.manager.switched)
}

// isRedundant reports whether enough others announce, and none of them asks for us.
func (c *cluster) isRedundant(now time.Time) bool {
	self, ours := c.seats[c.config.Node]
	if !ours || len(c.seats) <= ownership.MaxAnnouncers || c.election.Frozen(now) {
		return false
	}
	others := c.seats.but(c.config.Node, now)
	return ownership.Redundant(self.Seat, others, 0) && !c.isCalled(others, now)
}

// isRequested reports whether an announcer asks a node to announce as well.
func isRequested(others []ownership.Seat, node string) bool {
	return slices.ContainsFunc(others, func(o ownership.Seat) bool { return slices.Contains(o.Requests, node) })
}

// markLeaving ends the announcements of what is answered here: others are about to
// announce it, and nobody hears them for a node that stands by.
func (c *cluster) markLeaving() {
	var leaving []rules.EntryChange
	for a := range c.services {
		if e, ok := c.manager.store.Entry(rules.ServiceAddresses, a); ok && e.Behind && !e.Leaving {
			e.Leaving = true
			leaving = append(leaving, rules.EntryChange{Entry: e})
		}
	}
	if len(leaving) > 0 {
		c.manager.store.Update(rules.ServiceAddresses, leaving)
	}
}

// standDown returns the cluster that follows one in which this node is redundant. It
// knows the pods as before, and nothing of services.
func (c *cluster) standDown() *cluster {
	next := newCluster(c.manager, c.config, c.needs, c.selection, c.client, true)
	carryOver(next, c)
	next.announcers = max(len(c.seats)-1, 0)
	return next
}
