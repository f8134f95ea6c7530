// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"maps"
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// claimLog is how often one address is logged as claimed.
const claimLog = time.Minute

// sighting is a sign of another station on an uplink.
type sighting struct {
	uplink *uplink
	sign   ndp.Sighting
}

// duties are what an uplink does without being asked.
type duties struct {
	announcer ndp.Announcer
	claims    ndp.Claims
	hops      hostwatch.Hops
	told      map[telling]time.Time // when
}

// next returns when the uplink has a duty, and false for never.
func (d *duties) next() (time.Time, bool) {
	at, ok := d.announcer.Next()
	if due, also := d.claims.Next(); also && (!ok || due.Before(at)) {
		at, ok = due, true
	}
	return at, ok
}

// rearm makes the loop look again when a duty comes earlier than it knows.
func (s *supervisor) rearm() {
	at, ok := s.next()
	if !ok || !s.armed.IsZero() && !at.Before(s.armed) {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next returns when the first duty is, and false for never.
func (s *supervisor) next() (first time.Time, ok bool) {
	for _, u := range s.uplinks {
		if at, has := u.duties.next(); has && (!ok || at.Before(first)) {
			first, ok = at, true
		}
	}
	if s.cluster != nil {
		if at, has := s.cluster.election.Next(); has && (!ok || at.Before(first)) {
			first, ok = at, true
		}
	}
	return first, ok
}

// arm returns how long the loop may wait for the next duty; ok is false for
// ever.
func (s *supervisor) arm() (wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.next()
	s.armed = at
	return max(0, time.Until(at)), ok
}

// doDuties does what is due.
func (s *supervisor) doDuties() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.cluster != nil {
		s.cluster.due(now)
	}
	for _, u := range s.uplinks {
		u.announce(now)
		u.checkClaims(now)
	}
	s.guardAll()
}

// sighted hands a sign to the loop, or drops it when too many wait: there will
// be another one.
func (s *supervisor) sighted(u *uplink, sign ndp.Sighting) {
	select {
	case s.sightings <- sighting{u, sign}:
	default:
	}
}

// sight takes a sign in.
func (s *supervisor) sight(g sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if g.uplink.listener == nil { // removed meanwhile, and its view with it
		return
	}
	if s.heardPeer(g, now) {
		return
	}
	g.uplink.rival(g.sign, now)
	if g.uplink.sight(g.sign, now) {
		s.guardAll()
	}
}

// heardPeer takes in what concerns who owns a service address, and reports
// whether the sign was of that kind. Another announcer is no conflict, and what
// nobody answers for here can have none.
func (s *supervisor) heardPeer(g sighting, now time.Time) bool {
	if s.cluster == nil {
		return false
	}
	mac, a := ownership.MAC(g.sign.MAC), g.sign.Address
	v := g.uplink.view.Find(a)
	if s.cluster.standby && v != nil && s.store.Load().Rules()[v.Rule].Method == rules.Services {
		return true // others take over what was ours
	}
	others := rules.PresencePrefix().Contains(a) || v != nil && v.Silence == rules.NotOwner
	if !s.cluster.election.Knows(mac) {
		return others
	}
	_, service := s.cluster.services[a]
	if !others && !service {
		return false
	}
	if g.sign.Advertisement {
		s.cluster.election.Hear(ownership.Sign{From: mac, Address: a, Announced: g.sign.Override && !g.sign.Solicited}, now)
		s.cluster.publish(now)
		s.rearm()
	}
	return true
}

// disclaim forgets what stations claim an address that has just appeared here.
func (s *supervisor) disclaim(a netip.Addr) {
	for _, u := range s.uplinks {
		if u.duties.claims.Drop(a) {
			u.log.Info("the address has appeared behind this node, and is answered for again", "address", a)
			u.guard(u.duties.hops, s.store)
		}
	}
}

func (s *supervisor) guardAll() {
	for _, u := range s.uplinks {
		u.guard(u.duties.hops, s.store)
	}
}

// guard keeps the uplink silent for the next hops of its routes, and for what
// other stations own, whatever the rules say.
func (u *uplink) guard(hops hostwatch.Hops, store *rules.Store) {
	u.duties.hops = hops
	guards := make(map[netip.Addr]rules.Silence, len(hops.All))
	for a, c := range u.duties.claims.All {
		if c.Stands {
			guards[a] = rules.Claimed
		}
	}
	for _, a := range hops.All {
		guards[a] = rules.NextHop
	}
	if !maps.Equal(u.guards, guards) {
		u.guards = guards
		store.SetGuards(u.config.Interface, guards)
	}
}

// sight takes a sign in, and asks whether it is true. It returns true
// when a claim stands from now on.
func (u *uplink) sight(sign ndp.Sighting, now time.Time) bool {
	if u.listener == nil {
		return false
	}
	ask, begun, stands := u.duties.claims.Sight(sign, now)
	if begun {
		u.counters.Conflicts.Add(1)
	}
	if ask {
		u.solicit(sign.Address)
	}
	if stands && u.toTell(telling{sign.Address, false}, now) {
		u.log.Warn("another station uses an address that a rule covers: it is left to that station while it answers", "address", sign.Address, "mac", macString(sign.MAC))
		if c := u.owner.cluster; c != nil {
			c.conflict(sign.Address, macString(sign.MAC))
		}
	}
	return stands
}

// telling is what the log and an Event may say of an address: that it is another
// station's, or a rival's, too.
type telling struct {
	address netip.Addr
	rival   bool
}

// toTell reports whether it is time to, which it is once in a while.
func (u *uplink) toTell(t telling, now time.Time) bool {
	if now.Sub(u.duties.told[t]) < claimLog {
		return false
	}
	if u.duties.told == nil {
		u.duties.told = make(map[telling]time.Time)
	}
	u.duties.told[t] = now
	return true
}

// checkClaims asks stations whether they still have what they claim.
func (u *uplink) checkClaims(now time.Time) {
	for t, at := range u.duties.told {
		if now.Sub(at) >= claimLog {
			delete(u.duties.told, t)
		}
	}
	ask, ended := u.duties.claims.Due(now)
	for _, a := range ask {
		if v := u.view.Find(a); v == nil || !v.Hears() && v.Silence != rules.Claimed {
			u.duties.claims.Drop(a)
			continue
		}
		u.solicit(a)
	}
	for a, c := range ended {
		if c.Stands {
			u.log.Info("the other station has left the address, which is answered for again", "address", a, "mac", macString(c.MAC))
		}
	}
}

// solicit asks on the uplink who has an address: by multicast, since only then
// does the answer tell an owner from a proxy.
func (u *uplink) solicit(a netip.Addr) {
	if u.listener == nil {
		return
	}
	frame, err := u.iface.Solicitation(a)
	if err == nil {
		err = u.listener.Send(frame)
	}
	u.report(err)
}

// announceChanges begins to announce exact addresses that appear behind us.
func (u *uplink) announceChanges(deltas []rules.Delta) {
	if u.state != Ready || u.config.Gratuitous == rules.GratuitousNone {
		return
	}
	now := time.Now()
	for _, d := range deltas {
		switch {
		case !d.Prefix.IsSingleIP():
		case d.After.Announced() && d.Before.Silence == rules.NotOwner:
			u.duties.announcer.TakeOver(d.Prefix.Addr(), d.After.Delay == 0, now)
		case d.After.Announced() && !d.Before.Announced():
			u.duties.announcer.Announce(d.Prefix.Addr(), d.After.Delay == 0, now)
		case d.Before.Announced() && !d.After.Announced():
			u.duties.announcer.Withdraw(d.Prefix.Addr())
		}
	}
}

// announceAll announces every exact address, as when the link comes back.
func (u *uplink) announceAll(at time.Time) {
	if u.config.Gratuitous == rules.GratuitousNone {
		return
	}
	for p, v := range u.view.Decisions() {
		if p.IsSingleIP() && v.Announced() && !u.iface.Owns(p.Addr()) {
			u.duties.announcer.Announce(p.Addr(), v.Delay == 0, at)
		}
	}
}

// announce sends what is due.
func (u *uplink) announce(now time.Time) {
	if u.listener == nil || u.state != Ready {
		u.duties.announcer.Stop()
	}
	for {
		a, ok := u.duties.announcer.Pop(now)
		if !ok {
			return
		}
		sent, err := u.sendAnnouncement(a)
		u.duties.announcer.Charge(sent - 1)
		u.report(err)
	}
}

// sendAnnouncement sends an announcement with all that goes with it, and returns
// how many frames that were.
func (u *uplink) sendAnnouncement(a ndp.Announcement) (sent int, err error) {
	copies := []bool{false} // to all nodes
	if u.config.Gratuitous == rules.GratuitousRouters {
		copies = append(copies, true)
	}
	for _, routers := range copies {
		frame, err := u.iface.Unsolicited(a.Address, a.Override, routers)
		if err == nil {
			err = u.listener.Send(frame)
		}
		if err != nil {
			u.counters.SendErrors.Add(1)
			return sent, err
		}
		sent++
		u.counters.Unsolicited.Add(1)
	}
	if a.Last && u.owner.cluster.owns(a.Address) { // who had it before is silent by now
		u.solicit(a.Address)
		sent++
	}
	if !a.First || u.config.Prime == rules.PrimeNone {
		return sent, nil
	}
	routers := u.duties.hops.Default
	if u.config.Prime == rules.PrimeDAD {
		routers = []netip.Addr{{}}
	}
	for _, r := range routers {
		frame, err := u.iface.Prime(a.Address, r)
		if err == nil {
			err = u.listener.Send(frame)
		}
		if err != nil {
			return sent, err
		}
		sent++
	}
	return sent, nil
}
