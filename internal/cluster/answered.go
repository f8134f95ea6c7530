// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

const (
	// learnEvery is how often owners are asked for addresses that they were not heard to
	// answer for, and learnAsks for how many at a time: each answer is a sign, of which
	// an uplink keeps 64.
	learnEvery = time.Second
	learnAsks  = 32
	// learnRest is the time to the next look when there was nobody to ask.
	learnRest = 5 * time.Second
	// learnAgain is how soon an address is asked for again.
	learnAgain = 30 * time.Second
	// answersFor is how long an announcer has to answer for an address to be believed.
	// One that waits whether another station claims the address answers, too, for less.
	answersFor = 5 * time.Second
	// never is longer than anything else.
	never = time.Duration(math.MaxInt64)
)

// answered are the service addresses that announcers of the cluster, this node included,
// were heard to announce, or to answer for a while, since a station was last seen to use
// them. One of these is taken over from a dead node at once. Before any other one is
// announced, the link is asked who has it.
type answered struct {
	on    map[place]bool
	first map[place]time.Time      // the first answer for one that is not on yet
	asked map[netip.Addr]time.Time // when its owner was last asked
	due   time.Time                // when owners are asked next
}

// place is an address on the link of an uplink.
type place struct {
	uplink  string
	address netip.Addr
}

func newAnswered() answered {
	return answered{on: make(map[place]bool), first: make(map[place]time.Time), asked: make(map[netip.Addr]time.Time)}
}

// hear takes in that an announcer announces an address, or answers for it.
func (h *answered) hear(at place, announced bool, now time.Time) {
	first, known := h.first[at]
	switch {
	case h.on[at]:
	case announced, known && now.Sub(first) >= answersFor:
		h.on[at] = true
		delete(h.first, at)
	case !known:
		h.first[at] = now
	}
}

// drop forgets that announcers have answered for an address.
func (h *answered) drop(at place) {
	delete(h.on, at)
	delete(h.first, at)
}

// forget forgets an address that is no service's any more.
func (h *answered) forget(a netip.Addr, links []Link) {
	for _, l := range links {
		h.drop(place{l.Name, a})
	}
	delete(h.asked, a)
}

// learn asks the owners of addresses that they were not heard to answer for, a few at a
// time, so that nobody has to be asked for these when an owner dies.
func (c *cluster) learn(now time.Time) {
	if now.Before(c.answered.due) || len(c.manager.links) == 0 || len(c.services) == 0 {
		return
	}
	c.answered.due = now.Add(learnEvery)
	asks := 0
	for a := range c.services {
		if asks == learnAsks {
			return
		}
		if again := c.askAgain(a); again == never || now.Sub(c.answered.asked[a]) < again {
			continue
		}
		if questions := c.election.AskOwner(a); len(questions) > 0 {
			c.answered.asked[a] = now
			c.manager.outbox.ask(questions)
			asks++
		}
	}
	if asks == 0 { // all is known for now
		c.answered.due = now.Add(learnRest)
	}
}

// askAgain returns how long after the last question the owner of an address is asked for
// it again.
func (c *cluster) askAgain(a netip.Addr) time.Duration {
	again := learnAgain
	for _, l := range c.manager.links {
		at := place{l.Name, a}
		if c.answered.on[at] {
			return never
		}
		if _, ok := c.answered.first[at]; ok {
			again = answersFor
		}
	}
	return again
}

// Asks reports whether the link has to be asked who has a service address before this
// node announces it on an uplink.
func (m *Manager) Asks(uplink string, a netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current != nil && m.current.shares(a) && !m.current.answered.on[place{uplink, a}]
}

// Announced notes that this node announces a service address on an uplink.
func (m *Manager) Announced(uplink string, a netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current != nil && m.current.shares(a) {
		m.current.answered.on[place{uplink, a}] = true
	}
}

// Shares reports whether an address is one of a service.
func (m *Manager) Shares(a netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current != nil && m.current.shares(a)
}

func (c *cluster) shares(a netip.Addr) bool {
	_, ok := c.services[a]
	return ok
}

// used notes a sign of a station that is no announcer, and has a service address or is
// about to have it.
func (c *cluster) used(uplink string, sign ndp.Sighting) {
	own := slices.ContainsFunc(c.manager.links, func(l Link) bool { return l.MAC == sign.MAC })
	if !own && (!sign.Advertisement || sign.Override) {
		c.answered.drop(place{uplink, sign.Address})
	}
}

// hear takes in the advertisement of another announcer for a service address, or for its
// presence.
func (c *cluster) hear(uplink string, sign ndp.Sighting, now time.Time) {
	announced := sign.Override && !sign.Solicited
	if c.shares(sign.Address) {
		c.answered.hear(place{uplink, sign.Address}, announced, now)
	}
	c.election.Hear(ownership.Sign{From: ownership.MAC(sign.MAC), Address: sign.Address, Announced: announced}, now)
}
