// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// logEvery is how often an uplink logs conflicts: whoever forges them must not
// fill the disk.
const logEvery = time.Minute

// conflicts are the addresses of rules that others on the link have: the next
// hops of routes, and what stations claim.
type conflicts struct {
	claims ndp.Claims
	hops   []netip.Addr
	guards map[netip.Addr]rules.Silence // as the store has them
	list   []Conflict                   // the claims that stand, in order

	nextLog    time.Time
	suppressed int // lines that were not logged since
}

// appeared is an address that has just appeared behind us.
type appeared struct{ address netip.Addr }

func (a appeared) apply(u *Uplink) {
	if !u.claims.Drop(a.address) {
		return
	}
	u.log.Info("the address has appeared behind this node, and is answered for again", "address", a.address)
	u.conflicts.guard(u)
}

// setHops takes over who the routes through the uplink lead to.
func (c *conflicts) setHops(u *Uplink, h hostwatch.Hops) {
	c.hops, u.routers = h.All, h.Default
	u.updateInterface() // whose limits for askers leave routers alone
	c.guard(u)
}

// guard keeps the uplink silent for next hops, and for what other stations have,
// whatever the rules say.
func (c *conflicts) guard(u *Uplink) {
	guards := make(map[netip.Addr]rules.Silence, len(c.hops))
	c.list = c.list[:0:0]
	for a, claim := range c.claims.All {
		if claim.Stands {
			guards[a] = rules.Claimed
			c.list = append(c.list, Conflict{Address: a, MAC: claim.MAC, Since: claim.Since})
		}
	}
	slices.SortFunc(c.list, func(a, b Conflict) int { return a.Address.Compare(b.Address) })
	for _, a := range c.hops {
		guards[a] = rules.NextHop
	}
	if !maps.Equal(c.guards, guards) {
		c.guards = guards
		u.options.Store.SetGuards(u.name, guards)
	}
}

// standing returns the claims that stand, in order.
func (c *conflicts) standing() []Conflict { return c.list }

// clear forgets what stations claim, as when the socket is closed.
func (c *conflicts) clear() { c.claims.Clear() }

// sight takes a sign of another station in, and asks whether it is true.
func (c *conflicts) sight(u *Uplink, s ndp.Sighting, now time.Time) {
	if u.responder == nil { // the sign is from before the socket was closed
		return
	}
	if u.options.Cluster.Heard(u.name, s) {
		return
	}
	if u.options.Cluster.Rival(u.name, s) {
		u.counters.Conflicts.Add(1)
	}
	ask, begun, stands := c.claims.Sight(s, now)
	if begun {
		u.counters.Conflicts.Add(1)
	}
	if ask {
		c.ask(u, s.Address)
	}
	if !stands {
		return
	}
	c.guard(u)
	u.options.Cluster.Conflict(s.Address, s.MAC)
	c.warn(u, "another station uses an address that a rule covers: it is left to that station while it answers", s, now)
}

// warn logs a conflict, and how many others there was no line for.
func (c *conflicts) warn(u *Uplink, message string, s ndp.Sighting, now time.Time) {
	if now.Before(c.nextLog) {
		c.suppressed++
		return
	}
	u.log.Warn(message, "address", s.Address, "mac", macString(s.MAC), "not_logged", c.suppressed)
	c.nextLog, c.suppressed = now.Add(logEvery), 0
}

// check asks stations whether they still have what they claim.
func (c *conflicts) check(u *Uplink, now time.Time) {
	ask, ended := c.claims.Due(now)
	for _, a := range ask {
		if v := u.view.Find(a); v == nil || !v.Hears() && v.Silence != rules.Claimed {
			c.claims.Drop(a)
			continue
		}
		c.ask(u, a)
	}
	for a, claim := range ended {
		if claim.Stands {
			u.log.Info("the other station has left the address, which is answered for again", "address", a, "mac", macString(claim.MAC))
		}
	}
	c.guard(u)
}

// ask asks on the uplink who has an address: by multicast, since only then does
// the answer tell an owner from a proxy.
func (c *conflicts) ask(u *Uplink, a netip.Addr) {
	u.report("ask stations", u.send(u.iface.Solicitation(a)))
}
