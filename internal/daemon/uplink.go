// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// uplink is one interface that solicitations arrive on, through all of its
// life: missing, down, ready, deleted and created again. The supervisor's lock
// guards it.
type uplink struct {
	config   rules.Uplink
	log      *slog.Logger
	owner    *supervisor
	counters *ndp.Counters
	recent   *ndp.Recent

	link       rules.Link
	iface      *ndp.Interface
	listener   *ndp.Listener   // nil while there is no socket
	membership *ndp.Membership // nil while there is no socket or no IPv6
	view       *rules.View     // what holds
	joined     *rules.View     // what the membership was told of
	unjoined   []netip.Prefix
	guards     map[netip.Addr]rules.Silence
	duties     duties
	warned     []string // the findings that were logged
	// errorsBefore is how many ICMPv6 errors the kernel had sent at the start.
	errorsBefore hostwatch.Unreachables

	state State
	why   string // one sentence for people
	since time.Time
	known bool // was ready before
	retry backoff
	timer *time.Timer // of the next attempt
	fault string      // what was reported last
}

// wideHelp says what can be done for prefixes whose groups cannot be joined.
const wideHelp = "prefixes are too wide to join the multicast groups of their addresses; " +
	"behind a switch with MLD snooping, solicitations for them may not arrive: " +
	"turn snooping off for this VLAN, make the switch port a static multicast router port, or use rules of /120 and longer"

// manyHelp says the same for addresses that are too many together.
const manyHelp = "the addresses are too many to join the multicast groups of all; " +
	"behind a switch with MLD snooping, solicitations for some may not arrive: " +
	"turn snooping off for this VLAN, or make the switch port a static multicast router port"

func newUplink(log *slog.Logger, c rules.Uplink, owner *supervisor) *uplink {
	return &uplink{
		config: c, log: log.With("interface", c.Interface), owner: owner,
		counters: new(ndp.Counters), recent: new(ndp.Recent), since: time.Now(), view: owner.store.Load().View(c.Interface),
	}
}

// concerns reports whether an event matters: it is about the uplink's name or
// device, or about all. While there is no device any new link may be it, since a
// link may have further names.
func (u *uplink) concerns(e hostwatch.Event) bool {
	switch {
	case e.Name == u.config.Interface, e == hostwatch.Event{}:
		return true
	case u.link.Index == 0:
		return e.Name != ""
	}
	return e.Index == u.link.Index
}

// configure takes new settings over. The next refresh applies them; what only
// a new socket can do closes the old one.
func (u *uplink) configure(c rules.Uplink) {
	if u.listener != nil && (c.Early != u.config.Early || c.Membership != u.config.Membership) {
		u.report(u.close())
	}
	u.config = c
}

// refresh reads the link and brings socket, facts and state into line with it.
func (u *uplink) refresh() {
	link, err := hostwatch.ReadLink(u.config.Interface, u.link.Index)
	switch {
	case errors.Is(err, hostwatch.ErrNoLink):
		u.lose("the interface does not exist yet")
		return
	case err == nil && link.Name != u.config.Interface && u.owner.configured(link.Name):
		// Renamed to what another uplink waits for: two answers to each
		// solicitation would follow.
		u.lose(fmt.Sprintf("its device is %s now, which is an uplink of its own", link.Name))
		return
	case err != nil: // keep what works, and look again
		u.report(err)
		u.again()
		return
	}
	if u.listener != nil && u.listener.Index() != link.Index {
		u.report(u.close())
	}
	if link.Bridge && u.owner.stations != nil {
		link.Stations = u.owner.stations(link.Index)
	}
	moved := u.link.MAC != link.MAC
	u.link, u.iface = link, ndp.NewInterface(link, u.config)
	state, why := judge(link, u.iface, u.config.Source)
	if state == NotEthernet || state == Port {
		u.report(u.close())
		u.set(state, why)
		return
	}
	if err := u.open(); err != nil {
		u.set(Failed, err.Error())
		u.again()
		return
	}
	if state != Ready {
		u.set(state, why)
		return
	}
	u.ready(moved)
}

// restation takes over which stations are behind virtual ports of the bridge.
func (u *uplink) restation() {
	if u.iface == nil || u.owner.stations == nil {
		return
	}
	u.link.Stations = u.owner.stations(u.link.Index)
	u.iface = ndp.NewInterface(u.link, u.config)
	if u.listener != nil {
		u.listener.SetInterface(u.iface)
	}
}

// ready notes that solicitations are answered, and announces what is behind us
// to those who may remember it elsewhere: at once at the start and from a new
// MAC address, and a second after a link came back, as its switch may not
// forward at once.
func (u *uplink) ready(moved bool) {
	was := u.state == Ready
	if !u.known {
		u.errorsBefore = hostwatch.ReadUplink(u.link).Unreachables
	}
	u.set(Ready, "")
	switch {
	case was && !moved:
		return
	case was:
		u.duties.announcer.Clear()
		u.announceAll(time.Now())
	case u.known:
		u.announceAll(time.Now().Add(linkSettles))
	default:
		u.announceAll(time.Now())
	}
	u.known = true
}

// linkSettles is how long a link gets before it is used for announcements.
const linkSettles = time.Second

// lose gives the device up.
func (u *uplink) lose(why string) {
	u.report(u.close())
	u.link, u.iface = rules.Link{}, nil
	u.set(Absent, why)
}

// judge tells in which state an uplink with such a link is, as far as the link
// goes. No socket works on one that is not Ethernet, or a port.
func judge(l rules.Link, i *ndp.Interface, source rules.SourcePolicy) (State, string) {
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
	case !i.HasSource():
		return NoAddress, noAddress(source)
	}
	return Ready, ""
}

func noAddress(p rules.SourcePolicy) string {
	if p == rules.SourceLinkLocal {
		return "the interface has no usable link-local address to answer from"
	}
	return "the interface has no usable IPv6 address to answer from"
}

// open makes sure that there is a working socket with the present facts.
func (u *uplink) open() error {
	if u.listener != nil {
		select {
		case <-u.listener.Done(): // replaced after a while, should that one fail too
			return fmt.Errorf("listen: %w", u.close())
		default:
			u.listener.SetInterface(u.iface)
			u.join()
			return nil
		}
	}
	l, err := ndp.Listen(ndp.ListenConfig{
		Interface: u.iface, View: u.view, Early: u.config.Early, Counters: u.counters, Recent: u.recent,
		Sighted: func(sign ndp.Sighting) { u.owner.sighted(u, sign) }, Ask: u.owner.prober.ask,
	})
	if err != nil {
		return err
	}
	u.listener = l
	u.join()
	index := u.link.Index
	go func() { // a socket that fails by itself is replaced
		<-l.Done()
		u.owner.notify(hostwatch.Event{Index: index})
	}()
	return nil
}

// follow takes a new view over, which differs from the one before by deltas.
func (u *uplink) follow(before, after *rules.View, deltas []rules.Delta) {
	u.view = after
	if u.listener == nil {
		return
	}
	if err := u.listener.SetView(after, deltas); err != nil { // a new socket begins with it
		u.report(errors.Join(err, u.close()))
		u.again()
		return
	}
	if u.joined == before {
		u.joinDeltas(deltas)
	} else {
		u.join()
	}
	u.announceChanges(deltas)
}

// join brings the memberships into line with the view. What failed is tried
// again from the beginning, and so is what the kernel forgot with its IPv6.
func (u *uplink) join() {
	if !u.link.IPv6 {
		u.report(u.leave())
		return
	}
	if u.membership == nil {
		u.membership = ndp.NewMembership(u.config.Membership, u.listener)
	}
	u.joinDeltas(rules.Diff(u.joined, u.view))
}

func (u *uplink) joinDeltas(deltas []rules.Delta) {
	if u.membership == nil {
		return
	}
	if err := u.membership.Apply(u.view, deltas); err != nil {
		u.report(errors.Join(err, u.leave()))
		u.again()
		return
	}
	u.joined = u.view
}

// warnUnjoined says for which prefixes of the rules solicitations may not arrive.
func (u *uplink) warnUnjoined() {
	if u.membership == nil {
		return
	}
	status := u.membership.Status()
	if !slices.Equal(status.Unjoined, u.unjoined) && len(status.Unjoined) > 0 {
		level := slog.LevelInfo
		if !status.AllMulti { // the operator wants joins only, so they are deaf
			level = slog.LevelWarn
		}
		help := wideHelp
		if status.Unjoined[0].IsSingleIP() {
			help = manyHelp
		}
		u.log.Log(context.Background(), level, help, "count", status.Wide, "like", status.Unjoined[0], "all_multicast", status.AllMulti)
	}
	u.unjoined = status.Unjoined
}

// close releases the socket with its memberships.
func (u *uplink) close() error {
	if u.listener == nil {
		return nil
	}
	err := errors.Join(u.leave(), u.listener.Close())
	u.listener = nil
	u.duties.announcer.Stop()
	u.duties.claims.Clear()
	return err
}

// leave gives the memberships up.
func (u *uplink) leave() error {
	if u.membership == nil {
		return nil
	}
	err := u.membership.Close()
	u.membership, u.joined = nil, nil
	return err
}

// set changes the state and says so once.
func (u *uplink) set(s State, why string) {
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

// again asks for another refresh after a while.
func (u *uplink) again() {
	if u.timer != nil {
		u.timer.Stop()
	}
	name := u.config.Interface
	u.timer = time.AfterFunc(u.retry.Next(), func() { u.owner.notify(hostwatch.Event{Name: name}) })
}

// report says what went wrong, once until something else does.
func (u *uplink) report(err error) {
	if err == nil || err.Error() == u.fault {
		return
	}
	u.fault = err.Error()
	u.log.Warn("uplink trouble", "err", err)
}
