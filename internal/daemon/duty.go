// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

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

// withdraw ends the announcements of an address on every uplink.
func (s *supervisor) withdraw(a netip.Addr) {
	for _, u := range s.uplinks {
		u.duties.announcer.Withdraw(a)
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
