// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
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
	begun, stands := u.duties.claims.Sight(sign, now)
	if begun {
		u.counters.Conflicts.Add(1)
	}
	u.owner.rearm()
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
	u.duties.claims.Digest(now)
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

// rival tells of a station that answers for a service address of ours as a proxy
// does (RFC 4861 §7.2.8), when we ask who else has it: no announcer of ours, so
// it is another program's. The address is not left to it, for it may be one that
// does the same with us, and nobody would answer.
func (u *uplink) rival(sign ndp.Sighting, now time.Time) {
	c := u.owner.cluster
	own := func(o *uplink) bool { return o.link.MAC == sign.MAC }
	if !sign.Advertisement || !sign.Solicited || sign.Override || !c.owns(sign.Address) ||
		slices.ContainsFunc(u.owner.uplinks, own) || !u.toTell(telling{sign.Address, true}, now) {
		return
	}
	u.counters.Conflicts.Add(1)
	mac := macString(sign.MAC)
	u.log.Warn("another station answers for a service address of this node, too: let only one of them announce it", "address", sign.Address, "mac", mac)
	e := k8swatch.Event{Warning: true, Reason: "AddressShared", Message: fmt.Sprintf(
		"The station %s answers for %s on the uplink of node %s, too: routers take the one or the other. Let only one of them announce it.", mac, sign.Address, c.config.Node)}
	if s, ok := c.services[sign.Address]; ok {
		e.Service = &s.Service
	}
	c.watcher.Emit(e)
}
