// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// announcements are the unsolicited advertisements of an uplink.
type announcements struct {
	announcer ndp.Announcer
	inquiries inquiries
	rounds    ndp.Rounds
	interval  time.Duration // that the rounds were started with; 0 while they stand still
	routers   []netip.Addr  // next hops of the default route, which are primed
}

// question is one for a station, about a target.
type question struct {
	target  netip.Addr
	station [6]byte
}

// follow begins to announce exact addresses that appear behind us, and ends what the
// view no longer answers for.
func (a *announcements) follow(u *Uplink, deltas []rules.Delta) {
	a.withdraw(u, deltas)
	if u.state != Ready || u.config.Gratuitous == rules.GratuitousNone {
		return
	}
	now := time.Now()
	for _, d := range deltas {
		switch {
		case !d.Prefix.IsSingleIP() || !d.After.Announced():
		case u.iface.Owns(d.Prefix.Addr()): // the kernel answers
		case d.Before.Silence == rules.NotOwner || d.Before.Silence == rules.Standby:
			a.begin(u, d.Prefix.Addr(), d.After, true, now)
		case !d.Before.Announced():
			a.begin(u, d.Prefix.Addr(), d.After, false, now)
		}
	}
}

// withdraw ends the announcements of what is no longer answered for. That happens at
// once and not when the next one is due, so that an address which comes back a moment
// later is announced anew and does not go on with its old series.
func (a *announcements) withdraw(u *Uplink, deltas []rules.Delta) {
	wide := false
	for _, d := range deltas {
		switch {
		case !d.Prefix.IsSingleIP():
			wide = wide || !d.After.Answer || d.After.Leaving
		case d.After.Announced():
		case d.Before.Announced() || !u.stillOurs(d.Prefix.Addr()):
			a.announcer.Withdraw(d.Prefix.Addr())
			a.inquiries.drop(d.Prefix.Addr())
		}
	}
	if wide { // addresses without a line of their own are announced, too, see handOver
		a.announcer.WithdrawAll(func(address netip.Addr) bool { return !u.stillOurs(address) })
	}
}

// all announces every exact address, as when the link comes back.
func (a *announcements) all(u *Uplink, at time.Time) {
	if u.config.Gratuitous == rules.GratuitousNone {
		return
	}
	for p, v := range u.view.Decisions() {
		if p.IsSingleIP() && v.Announced() && !u.iface.Owns(p.Addr()) {
			a.begin(u, p.Addr(), v, false, at)
		}
	}
}

// schedule starts the rounds in which all is announced again where they are wanted and
// do not run, and stops them where they are not. While the uplink is not ready they
// stand still; what comes after that announces all addresses anyhow. The first round
// begins at a random time within the interval, so that hosts that start together do not
// announce together.
func (a *announcements) schedule(u *Uplink, now time.Time) {
	interval := u.config.Reannounce
	if u.responder == nil || u.state != Ready || u.config.Gratuitous == rules.GratuitousNone {
		interval = 0
	}
	if interval == a.interval {
		return
	}
	if a.interval = interval; interval == 0 {
		a.rounds.Stop()
		return
	}
	a.rounds.Start(interval, now.Add(interval/2+rand.N(interval/2))) //nolint:gosec // no secret
}

// repeat announces addresses again whose turn it is, if they are still announced.
func (a *announcements) repeat(u *Uplink, now time.Time) {
	a.schedule(u, now)
	for {
		address, ok := a.rounds.Pop(now, func() []netip.Addr { return a.announced(u) })
		if !ok {
			return
		}
		if v := u.view.Find(address); v != nil && a.repeated(u, address, *v) {
			a.announcer.Repeat(address, v.Delay == 0, now)
		}
	}
}

// announced returns the exact addresses that are announced.
func (a *announcements) announced(u *Uplink) []netip.Addr {
	var all []netip.Addr
	for p, v := range u.view.Decisions() {
		if p.IsSingleIP() && a.repeated(u, p.Addr(), v) {
			all = append(all, p.Addr())
		}
	}
	return all
}

// repeated reports whether an address with that verdict is announced again. One that
// another station claims is not, even where we have evidence of our own and go on
// answering: to override the station again and again settles nothing.
func (a *announcements) repeated(u *Uplink, address netip.Addr, v rules.Verdict) bool {
	return v.Announced() && !u.iface.Owns(address) && !u.conflicts.stands(address)
}

// sendDue sends what is due. While the device has no room, everything rests. The view
// has the last word: an address that it does not answer for is never announced, whatever
// was missed when it changed, because routers would send to a host that is not in charge.
func (a *announcements) sendDue(u *Uplink, now time.Time) {
	a.inquiries.turn(u, now)
	a.repeat(u, now)
	if u.responder == nil || u.state != Ready {
		a.announcer.Stop()
	}
	for {
		next, ok := a.announcer.Pop(now)
		if !ok {
			return
		}
		if !u.announces(next.Address) {
			a.announcer.Withdraw(next.Address)
			continue
		}
		if u.holds(next) {
			a.announcer.Retry(next, now)
			continue
		}
		sent, err := a.send(u, next)
		if errors.Is(err, ndp.ErrBusy) && sent == 0 {
			a.announcer.Retry(next, now)
			return
		}
		a.announcer.Charge(sent - 1)
		u.report("announce", err)
	}
}

// send sends an announcement with all that goes with it, and returns how many
// frames that were.
func (a *announcements) send(u *Uplink, next ndp.Announcement) (sent int, err error) {
	copies := []bool{false} // to all nodes
	if u.config.Gratuitous == rules.GratuitousRouters {
		copies = append(copies, true)
	}
	for _, toRouters := range copies {
		if err := u.send(u.iface.Unsolicited(next.Address, next.Override, toRouters)); err != nil {
			u.counters.SendErrors.Add(1)
			return sent, err
		}
		sent++
		u.counters.Unsolicited.Add(1)
	}
	if next.First {
		u.options.Cluster.Announced(u.name, next.Address)
	}
	if next.Last && u.options.Cluster.Owns(next.Address) { // who had it before is silent by now
		if err := u.send(u.iface.Solicitation(next.Address)); err != nil {
			return sent, err
		}
		sent++
	}
	if !next.First && !next.Repeat || u.config.Prime == rules.PrimeNone {
		return sent, nil
	}
	routers := a.routers
	if u.config.Prime == rules.PrimeDAD {
		routers = []netip.Addr{{}}
	}
	for _, r := range routers {
		if err := u.send(u.iface.Prime(next.Address, r)); err != nil {
			return sent, err
		}
		sent++
	}
	return sent, nil
}
