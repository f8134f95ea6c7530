// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// conflicts are the addresses of rules that others on the link have: the next
// hops of routes, and what stations claim.
type conflicts struct {
	claims ndp.Claims
	hops   []netip.Addr
	device int                          // that the hops are of
	former bool                         // the hops are of before the device was replaced or went down
	guards map[netip.Addr]rules.Silence // as the store has them
	list   []Conflict                   // the claims that stand, in order
}

// drop forgets what stations claim of addresses that have just appeared behind us.
func (c *conflicts) drop(u *Uplink, appeared map[netip.Addr]bool) {
	stood := false
	for a := range appeared {
		if c.claims.Drop(a) {
			stood = true
			u.log.Info("the address has appeared behind this node, and is answered for again", "address", a)
		}
	}
	if stood {
		c.guard(u)
	}
}

// dropAll forgets what stations claim of some addresses, and reports whether there was
// anything to forget.
func (c *conflicts) dropAll(u *Uplink, covered func(netip.Addr) bool) bool {
	var claimed []netip.Addr
	for a := range c.claims.All {
		if covered(a) {
			claimed = append(claimed, a)
		}
	}
	for _, a := range claimed {
		c.claims.Drop(a)
	}
	if len(claimed) > 0 {
		c.guard(u)
	}
	return len(claimed) > 0
}

// readHops reads who the routes through the uplink's device lead to. The kernel
// drops the routes of a device that is replaced or goes down, but the router is
// still on the link when the device comes back. So the former next hops count
// until there is one again.
func (c *conflicts) readHops(u *Uplink) {
	h := u.options.System.Hops(u.link.Index)
	u.announcements.routers = h.Default
	c.former = len(h.All) == 0 && (c.former || u.link.Index != c.device || !u.link.Up)
	if c.former {
		return
	}
	c.device = u.link.Index
	if slices.Equal(c.hops, h.All) {
		return
	}
	c.hops = h.All
	u.updateInterface() // whose limits for askers leave routers alone
	c.guard(u)
}

// stands reports whether another station claims an address.
func (c *conflicts) stands(a netip.Addr) bool {
	_, found := slices.BinarySearchFunc(c.list, a, func(c Conflict, a netip.Addr) int { return c.Address.Compare(a) })
	return found
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
func (c *conflicts) clear(u *Uplink) {
	c.claims.Clear()
	c.guard(u)
}

// sight takes a sign of another station in. Whether it is true is asked later, at
// a time that nobody can foresee.
func (c *conflicts) sight(u *Uplink, s ndp.Sighting, now time.Time) {
	if u.responder == nil { // the sign is from before the socket was closed
		return
	}
	if u.options.Cluster.Heard(u.name, s) || slices.Contains(c.hops, s.Address) {
		return
	}
	if u.options.Cluster.Rival(u.name, s) {
		u.counters.Conflicts.Add(1)
	}
	begun, stands := c.claims.Sight(s, now)
	// A daemon of the cluster that is new, and whose lease is not read yet, announces
	// service addresses, too.
	if shared := u.options.Cluster.Shares(s.Address); shared && stands || !shared && begun {
		u.counters.Conflicts.Add(1)
	}
	if stands {
		c.guard(u)
		u.options.Cluster.Conflict(s.Address, s.MAC)
	}
	c.log(u, now)
}

// log says what became of claims, at most once in a while: whoever forges them
// must not fill the disk.
func (c *conflicts) log(u *Uplink, now time.Time) {
	d, ok := c.claims.Digest(now)
	switch {
	case !ok:
	case d.Stood > 0:
		u.log.Warn("another station uses an address that a rule covers: it is left to that station while it answers",
			"address", d.Address, "mac", macString(d.MAC), "others", d.Stood-1, "signs", d.Begun, "ended", d.Ended)
	case d.Ended > 0:
		u.log.Info("other stations have left addresses, which are answered for again", "addresses", d.Ended)
	}
}

// check asks stations whether they have what they claim.
func (c *conflicts) check(u *Uplink, now time.Time) {
	ask, ended := c.claims.Due(now)
	for _, a := range ask {
		if v := u.view.Find(a); v == nil || !v.Hears() && v.Silence != rules.Claimed {
			c.claims.Drop(a)
			continue
		}
		c.ask(u, a, now)
	}
	if len(ended) > 0 {
		c.guard(u)
	}
	c.log(u, now)
}

// ask asks on the uplink who has an address: by multicast, since only then does
// the answer tell an owner from a proxy. While the link is down nobody is asked,
// and silence means nothing.
func (c *conflicts) ask(u *Uplink, a netip.Addr, now time.Time) {
	if u.state != Ready {
		c.claims.NotAsked(a, now)
		return
	}
	if err := u.send(u.iface.Solicitation(a)); err != nil {
		c.claims.NotAsked(a, now)
		u.report("ask stations", err)
	}
}
