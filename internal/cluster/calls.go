// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

const (
	// callCoalesce is how long changes are collected before the nodes that they need
	// are looked for: a rollout changes many endpoints one after the other.
	callCoalesce = 50 * time.Millisecond
	// callStep is how long each announcer waits for the one before it to call a node
	// in, and callSteps is how many of them do so one after the other.
	callStep, callSteps = 700 * time.Millisecond, 4
	// callAgain is how soon a node that does not come is called once more, and
	// callSeldom how often it is in the end.
	callAgain, callSeldom = 10 * time.Second, 5 * time.Minute
	// calledFor is how long a node that was called in announces when it is not needed
	// any more: the endpoints of a rollout come back.
	calledFor = 30 * time.Second
)

// calls are the nodes that Local policies need among the announcers.
type calls struct {
	at       time.Time // when to look for them next, zero for never
	requests ownership.Requests
	pending  map[string]*call // those that have not come, by node
	reported bool             // that there are too many
}

// call is a node that is called in and has not come.
type call struct {
	due   time.Time     // when we call it
	again time.Duration // how long to wait after that
	made  bool          // we have called it
}

// schedule has the calls looked at soon.
func (c *calls) schedule(now time.Time) {
	if at := now.Add(callCoalesce); c.at.IsZero() || at.Before(c.at) {
		c.at = at
	}
}

// updateCalls calls the nodes in that are needed and have not come, if it is time to.
func (c *cluster) updateCalls(now time.Time) {
	if c.calls.at.IsZero() || now.Before(c.calls.at) {
		return
	}
	c.calls.at = time.Time{}
	c.calls.requests = c.requests(now)
	c.reportUncalled()
	if c.calls.pending == nil {
		c.calls.pending = make(map[string]*call)
	}
	for node, p := range c.calls.pending {
		if !c.calls.requests.Has(node) || c.seats.present(node, now) {
			delete(c.calls.pending, node)
			if p.made {
				c.watcher.Call(node, false)
			}
		}
	}
	if c.election.Frozen(now) { // the server is away, and would not hear us
		return
	}
	for _, node := range c.calls.requests.Nodes {
		if node != c.config.Node && !c.seats.present(node, now) {
			c.callIn(node, now)
		}
	}
}

// callIn calls a node in, when it is our turn to.
func (c *cluster) callIn(node string, now time.Time) {
	p := c.calls.pending[node]
	if p == nil {
		rank, ok := c.election.CallerRank(node)
		if !ok {
			return
		}
		p = &call{due: now.Add(time.Duration(min(rank, callSteps)) * callStep), again: callAgain}
		c.calls.pending[node] = p
	}
	if !now.Before(p.due) {
		p.due, p.again, p.made = now.Add(p.again), min(2*p.again, callSeldom), true
		c.watcher.Call(node, true)
	}
	if c.calls.at.IsZero() || p.due.Before(c.calls.at) {
		c.calls.at = p.due
	}
}

// reportUncalled logs that more nodes would have to be called in than may be.
func (c *cluster) reportUncalled() {
	left := len(c.calls.requests.Left)
	switch is := left > 0; {
	case is && !c.calls.reported:
		c.manager.log.Warn("Local policies leave service addresses to more nodes than may be called in: nobody answers for the addresses of the others; let fewer nodes have the endpoints, or use externalTrafficPolicy Cluster",
			"called", len(c.calls.requests.Nodes), "most", ownership.MaxRequests, "addresses", left)
	case !is && c.calls.reported:
		c.manager.log.Info("Local policies leave service addresses to no more nodes than may be called in")
	}
	c.calls.reported = left > 0
}

// requests returns the nodes that are to announce beside enough others.
func (c *cluster) requests(now time.Time) ownership.Requests {
	if len(c.seats) < ownership.MaxAnnouncers { // whoever wants to does
		return ownership.Requests{}
	}
	return c.election.Requests(func(node string) bool { return c.seats.regular(node, now) })
}

// present reports whether a node has a lease that has not ended.
func (s seats) present(node string, now time.Time) bool {
	o, seated := s[node]
	return seated && now.Sub(o.renewed) < k8swatch.LeaseTime
}

// called has this node announce: another announcer has called it in.
func (c *cluster) called() {
	c.locked(func(now time.Time) {
		c.calledUntil = now.Add(calledFor)
		c.manager.log.Info("a Local policy needs this node: it announces")
	})
}

// isCalled reports whether an announcer asks for this node, or did so a moment ago.
func (c *cluster) isCalled(others []ownership.Seat, now time.Time) bool {
	if isRequested(others, c.config.Node) {
		c.calledUntil = now.Add(calledFor)
	}
	return now.Before(c.calledUntil)
}
