// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// linkSettles is how long a link that came back gets before it is used for
// announcements: its switch may not forward at once.
const linkSettles = time.Second

// configure takes new settings over. The refresh that follows applies them, but for the
// membership mode: for another one the memberships are made anew here.
func (u *Uplink) configure(s settings) {
	rejoin := s.config.Membership != u.config.Membership
	presence, witnessed := u.config.Presence, u.config.Witnessed
	u.config, u.names, u.configured = s.config, s.names, true
	u.config.Presence, u.config.Witnessed = presence, witnessed // the cluster's
	if rejoin && u.responder != nil {
		u.rejoin()
	}
}

// refresh reads the link and brings socket, facts and state into line with it.
func (u *Uplink) refresh() {
	link, err := u.options.System.ReadLink(u.name, u.link.Index)
	switch {
	case errors.Is(err, hostwatch.ErrNoLink):
		u.lose("the interface does not exist yet")
		return
	case err == nil && link.Name != u.name && u.names[link.Name]:
		// Renamed to the name of another uplink: two answers to each
		// solicitation would follow.
		u.lose(fmt.Sprintf("its device is %s now, which is an uplink of its own", link.Name))
		return
	case err != nil: // keep what works
		u.report("link", err)
		if err := u.closeFailed(); err != nil { // whose end would wake us up again and again
			u.setState(Failed, err.Error())
		}
		u.retryLater()
		return
	}
	if u.responder != nil && u.responder.Index() != link.Index {
		u.abandon()
	}
	if link.Bridge {
		link.Stations = u.options.System.Stations(link.Index)
	}
	moved := u.link.MAC != link.MAC
	u.link, u.looked = link, true
	// Before a socket opens: a router's address is never answered for, nor what is on
	// the link because of a route that is no more specific than the link's.
	u.onLink.read(u)
	u.conflicts.readHops(u)
	u.iface = u.compileInterface()
	state, why := Judge(link, u.iface, u.config.Source)
	if state == NotEthernet || state == Port {
		u.abandon()
		u.setState(state, why)
		return
	}
	if err := u.open(); err != nil {
		u.setState(Failed, err.Error())
		u.retryLater()
		return
	}
	u.setState(state, why)
	if state == Ready {
		u.announceReady(moved)
	}
}

// refreshStations reads again which stations are behind the ports of a bridge.
func (u *Uplink) refreshStations() {
	if !u.link.Bridge {
		return
	}
	stations := u.options.System.Stations(u.link.Index)
	if maps.Equal(stations, u.link.Stations) {
		return
	}
	u.link.Stations = stations
	u.updateInterface()
}

// updateInterface gives the socket the present facts of the link.
func (u *Uplink) updateInterface() {
	if u.iface == nil {
		return
	}
	u.iface = u.compileInterface()
	if u.responder != nil {
		u.responder.SetInterface(u.iface)
	}
}

// compileInterface puts the facts together that answers are made from.
func (u *Uplink) compileInterface() *ndp.Interface {
	return ndp.NewInterface(u.link, u.config).WithNextHops(u.conflicts.hops)
}

// announceReady announces what is behind us to those who may remember it
// elsewhere: at once at the start and from a new MAC address, and a moment after
// a link came back.
func (u *Uplink) announceReady(moved bool) {
	switch first, was := !u.ready, u.facts.Load().State == Ready; {
	case first:
		u.announcements.all(u, time.Now())
	case was && moved:
		u.announcements.announcer.Clear()
		u.announcements.all(u, time.Now())
	case !was:
		u.announcements.all(u, time.Now().Add(linkSettles))
	}
	u.ready = true
}

// lose gives the device up.
func (u *Uplink) lose(why string) {
	u.abandon()
	u.link, u.iface, u.looked = rules.Link{}, nil, true
	u.setState(Absent, why)
}

// setState changes the state and says so once.
func (u *Uplink) setState(s State, why string) {
	if s == Ready && u.membership != nil {
		u.retry.Reset()
	}
	if s == u.state && why == u.why {
		return
	}
	u.state, u.why, u.since = s, why, time.Now()
	if s == Ready {
		u.log.Info("uplink ready", "mac", macString(u.link.MAC), "router", u.iface.Router())
		return
	}
	u.log.Warn("uplink not ready", "state", s.String(), "why", why)
}

// Judge tells in which state an uplink with such a link is, as far as the link
// goes, and in one sentence why it is not ready. No socket works on a link that
// is not Ethernet, or that is a port of another.
func Judge(l rules.Link, i *ndp.Interface, source rules.SourcePolicy) (State, string) {
	switch {
	case l.Index == 0:
		return Absent, "the interface does not exist yet"
	case !l.Ethernet:
		return NotEthernet, "the interface is not Ethernet, so nobody sends it solicitations"
	case l.Master != "":
		return Port, fmt.Sprintf("%s is a port of %s and hears nothing by itself: use %s", l.Name, l.Master, l.Master)
	case !l.IPv6:
		return NoIPv6, "the interface has no IPv6: its MTU may be below 1280"
	case !l.Up:
		return Down, "the link is down"
	case !i.HasSource() && source == rules.SourceLinkLocal:
		return NoAddress, "the interface has no usable link-local address to answer from"
	case !i.HasSource():
		return NoAddress, "the interface has no usable IPv6 address to answer from"
	}
	return Ready, ""
}

// sameLink compares links but for the stations of a bridge, on which nothing
// outside of the uplink depends.
func sameLink(a, b rules.Link) bool {
	return a.Name == b.Name && a.Index == b.Index && a.MAC == b.MAC && a.Ethernet == b.Ethernet && a.Up == b.Up &&
		a.IPv6 == b.IPv6 && a.Master == b.Master && a.Bridge == b.Bridge && a.Forwarding == b.Forwarding &&
		slices.Equal(a.Addresses, b.Addresses)
}
