// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

const (
	// standInEvery is how often a node that is not fit looks for one that answers in
	// its place, where no leases tell, and standInSpread the most that is added at
	// random. standInRetry is how soon it looks again after a failure.
	standInEvery, standInSpread, standInRetry = 5 * time.Minute, time.Minute, 10 * time.Second
)

// followStandIns looks for nodes that answer in this one's place while it is not fit,
// until ctx ends. Only where every node answers: by the leases a node that is not fit
// goes last, and needs no look.
func (c *cluster) followStandIns(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.standIns:
		case <-timer.C:
		}
		near, needed := c.nearby()
		if !needed {
			timer.Stop()
			continue
		}
		found, err := c.watcher.StandIn(ctx, near)
		if ctx.Err() != nil {
			return
		}
		// Where nobody can tell, two nodes that answer are better than none.
		c.setIrreplaceable(err != nil || !found)
		wait := standInEvery + rand.N(standInSpread) //nolint:gosec // no secret
		if err != nil && !isForbidden(err) {
			wait = standInRetry
		}
		timer.Reset(wait)
	}
}

// nearby returns which addresses of Nodes are on a link of this node, and whether it
// has to know: it is not fit.
func (c *cluster) nearby() (near func(netip.Addr) bool, needed bool) {
	c.manager.mu.Lock()
	defer c.manager.mu.Unlock()
	var onLink []netip.Prefix
	unknown := false
	for _, l := range c.announcingLinks() {
		onLink = append(onLink, l.OnLink...)
		unknown = unknown || len(l.OnLink) == 0
	}
	near = func(a netip.Addr) bool {
		return unknown || slices.ContainsFunc(onLink, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return near, c.unfit() != "" && (unknown || len(onLink) > 0)
}

// setIrreplaceable takes in whether no other node can answer in this one's place.
func (c *cluster) setIrreplaceable(is bool) {
	c.manager.mu.Lock()
	was, why := c.election.Irreplaceable(), c.unfit()
	c.manager.mu.Unlock()
	c.locked(func(time.Time) { c.election.SetIrreplaceable(is) })
	switch {
	case is && !was:
		c.manager.log.Info("this node is not fit, and answers for service addresses all the same: no other node on its link can", "why", why)
	case was && !is:
		c.manager.log.Info("this node is not fit, and leaves service addresses to the other nodes of its link", "why", why)
	}
}
