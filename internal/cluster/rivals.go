// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

const (
	// rivalAfter is how long another station has to answer for an address of ours until
	// it is reported. Daemons of the cluster may do so for less: one that starts, and
	// whose lease is not read yet, and one that ends or hands the address over.
	rivalAfter = 10 * time.Second
	// rivalAsks is how often it is asked then, once a second.
	rivalAsks = 3
	// maxRivals bounds what is remembered: frames can be forged.
	maxRivals = 1024
	// formerFor is how long the station of an announcer without a lease counts as the
	// cluster's: a daemon that is replaced goes on to answer until it ends, and answers
	// again before its lease is written.
	formerFor = time.Minute
	// sweepEvery is how often the link is asked who else has an address of ours, one
	// address at a time, and sweepAgain how often for the same address at most.
	sweepEvery = time.Second
	sweepAgain = 10 * time.Second
)

// rival is another station that answers for an address of ours as a proxy does.
type rival struct {
	mac   [6]byte
	who   string // the announcer that has the MAC address, with what it says of itself
	since time.Time
	last  time.Time
	asks  int       // questions to come
	due   time.Time // of the next one
}

// suspects are the rivals that were seen.
type suspects map[place]*rival

// sweep asks the link for the addresses that this node owns, one after the other: who else
// has them?
type sweep struct {
	queue []netip.Addr
	begun time.Time // when it was filled
	due   time.Time
}

// formers are the stations of announcers whose leases have ended, and since when.
type formers map[[6]byte]time.Time

// add remembers the stations of an announcer.
func (f formers) add(a *ownership.Announcer, now time.Time) {
	for mac, at := range f {
		if now.Sub(at) >= formerFor {
			delete(f, mac)
		}
	}
	for _, l := range a.Links {
		f[l.MAC] = now
	}
}

// has reports whether a station was an announcer's a moment ago.
func (f formers) has(mac [6]byte, now time.Time) bool {
	at, ok := f[mac]
	return ok && now.Sub(at) < formerFor
}

// suspect takes in that another station has answered for an address of ours as a proxy
// does (RFC 4861 §7.2.8), and returns whether that is for long enough to be reported.
func (c *cluster) suspect(uplink string, sign ndp.Sighting, now time.Time) bool {
	at := place{uplink, sign.Address}
	if !c.owns(sign.Address) || c.election.Frozen(now) {
		delete(c.suspects, at)
		return false
	}
	r, who := c.suspects[at], c.election.Identity(ownership.MAC(sign.MAC))
	switch {
	case r != nil && r.mac == sign.MAC && r.who == who && now.Sub(r.last) < 2*rivalAfter:
	case r == nil && len(c.suspects) >= maxRivals:
		return false
	default: // another one, or one that may not know yet what it says of itself
		r = &rival{mac: sign.MAC, who: who, since: now, asks: rivalAsks, due: now.Add(rivalAfter)}
		c.suspects[at] = r
		if r.due.Before(c.sweep.due) {
			c.sweep.due = r.due
		}
	}
	r.last = now
	return now.Sub(r.since) >= rivalAfter
}

// askRivals asks those that are due whether they still answer.
func (c *cluster) askRivals(now time.Time) {
	var asks []ownership.Ask
	for at, r := range c.suspects {
		switch {
		case now.Before(r.due):
		case r.asks == 0:
			delete(c.suspects, at)
		default:
			asks = append(asks, ownership.Ask{To: r.mac, Target: at.address})
			r.asks--
			r.due = now.Add(time.Second)
		}
	}
	c.manager.outbox.ask(asks)
}

// askWhoElse asks the link for the next address that this node owns: a station that
// began to answer for it later says so only when it is asked.
func (c *cluster) askWhoElse(now time.Time) {
	s := &c.sweep
	if now.Before(s.due) {
		return
	}
	s.due = now.Add(sweepEvery)
	if len(s.queue) == 0 {
		if again := s.begun.Add(sweepAgain); now.Before(again) {
			if len(c.suspects) == 0 {
				s.due = again
			}
			return
		}
		s.begun = now
		for address := range c.services {
			if c.owns(address) {
				s.queue = append(s.queue, address)
			}
		}
		slices.SortFunc(s.queue, netip.Addr.Compare)
	}
	for len(s.queue) > 0 {
		address := s.queue[0]
		if s.queue = s.queue[1:]; c.owns(address) {
			c.manager.outbox.ask([]ownership.Ask{{To: ndp.SolicitedNodeMAC(address), Target: address}})
			return
		}
	}
}

// rivalsDue returns when a rival or the link is asked next, and false, with the zero
// time, for never.
func (c *cluster) rivalsDue() (due time.Time, ok bool) {
	if c.standby || !c.needs.Leases || c.election.IsAlone() || len(c.services) == 0 || len(c.manager.links) == 0 {
		return time.Time{}, false
	}
	if c.sweep.due.IsZero() {
		return time.Unix(0, 1), true // at once
	}
	return c.sweep.due, true
}

// reportRival writes an Event about a station that shares an address with this node, once
// a minute, and returns whether it did, and whether to log it as well.
func (c *cluster) reportRival(uplink string, sign ndp.Sighting, now time.Time) (reported, logged bool) {
	m := c.manager
	if !m.reminders.due(reminder{addressShared, uplink, sign.Address}, now) {
		return false, false
	}
	c.emit(k8swatch.Event{Warning: true, Reason: addressShared, Message: fmt.Sprintf(
		"The station %s answers for %s on the uplink of node %s, too: routers take the one or the other. Let only one of them announce it.",
		c.station(sign.MAC), sign.Address, c.config.Node)}, sign.Address)
	return true, m.reminders.due(reminder{reason: addressShared, uplink: uplink}, now)
}

// reportContests tells of the addresses that other programs on nodes of announcers
// announce as well.
func (c *cluster) reportContests(now time.Time) {
	for _, contest := range c.election.Contests() {
		if !c.manager.reminders.due(reminder{reason: addressShared, address: contest.Address}, now) {
			continue
		}
		c.manager.log.Warn("another program on a node of the cluster announces a service address of this node: it is left to it while it answers. Let only one of them announce it",
			"address", contest.Address, "node", contest.Node)
		c.emit(k8swatch.Event{Warning: true, Reason: addressShared, Message: fmt.Sprintf(
			"Another program on node %s announces %s and answers for it, which is node %s's to do: it is left to that program while it answers. Let only one of them announce it.",
			contest.Node, contest.Address, c.config.Node)}, contest.Address)
	}
}
