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
	notify   func(hostwatch.Event)
	claimed  func(name string) bool // whether another uplink has that interface
	counters *ndp.Counters

	link       rules.Link
	iface      *ndp.Interface
	listener   *ndp.Listener   // nil while there is no socket
	membership *ndp.Membership // nil while there is no socket or no IPv6
	view       *rules.View     // what holds
	joined     *rules.View     // what the membership was told of
	unjoined   []netip.Prefix
	wideFor    []string // the warnings about wide rules that were logged

	state State
	why   string // one sentence for people
	since time.Time
	retry backoff
	timer *time.Timer // of the next attempt
	fault string      // what was reported last
}

// wideHelp says what can be done for prefixes whose groups cannot be joined.
const wideHelp = "prefixes are too wide to join the multicast groups of their addresses; " +
	"behind a switch with MLD snooping, solicitations for them may not arrive: " +
	"turn snooping off for this VLAN, make the switch port a static multicast router port, or use rules of /120 and longer"

func newUplink(log *slog.Logger, c rules.Uplink, notify func(hostwatch.Event), claimed func(string) bool) *uplink {
	return &uplink{
		config: c, log: log.With("interface", c.Interface), notify: notify, claimed: claimed,
		counters: new(ndp.Counters), since: time.Now(),
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
	case err == nil && link.Name != u.config.Interface && u.claimed(link.Name):
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
	u.link, u.iface = link, ndp.NewInterface(link, u.config)
	if state, why := unusable(link); state != Ready {
		u.report(u.close())
		u.set(state, why)
		return
	}
	if err := u.open(); err != nil {
		u.set(Failed, err.Error())
		u.again()
		return
	}
	u.warnWide()
	switch {
	case !link.IPv6:
		u.set(NoIPv6, "the interface has no IPv6: its MTU may be below 1280")
	case !link.Up:
		u.set(Down, "the link is down")
	case !u.iface.HasSource():
		u.set(NoAddress, noAddress(u.config.Source))
	default:
		u.set(Ready, "")
	}
}

// lose gives the device up.
func (u *uplink) lose(why string) {
	u.report(u.close())
	u.link, u.iface = rules.Link{}, nil
	u.set(Absent, why)
}

// unusable tells why no socket can work on a link, or Ready.
func unusable(l rules.Link) (State, string) {
	if !l.Ethernet {
		return NotEthernet, "the interface is not Ethernet, so nobody sends it solicitations"
	}
	if l.Master != "" {
		return Port, fmt.Sprintf("%s is a port of %s and hears nothing by itself: use %s", l.Name, l.Master, l.Master)
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
	l, err := ndp.Listen(ndp.ListenConfig{Interface: u.iface, View: u.view, Early: u.config.Early, Counters: u.counters})
	if err != nil {
		return err
	}
	u.listener = l
	u.join()
	index := l.Index()
	go func() { // a socket that fails by itself is replaced
		<-l.Done()
		u.notify(hostwatch.Event{Index: index})
	}()
	return nil
}

// setView follows the table.
func (u *uplink) setView(v *rules.View) {
	u.view = v
	if u.listener == nil {
		return
	}
	if err := u.listener.SetView(v); err != nil { // a new socket begins with it
		u.report(errors.Join(err, u.close()))
		u.again()
		return
	}
	u.join()
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
	if err := u.membership.Apply(rules.Diff(u.joined, u.view)); err != nil {
		u.report(errors.Join(err, u.leave()))
		u.again()
		return
	}
	u.joined = u.view
	status := u.membership.Status()
	if !slices.Equal(status.Unjoined, u.unjoined) && len(status.Unjoined) > 0 {
		level := slog.LevelInfo
		if !status.AllMulti { // the operator wants joins only, so they are deaf
			level = slog.LevelWarn
		}
		u.log.Log(context.Background(), level, wideHelp, "prefixes", status.Unjoined, "all_multicast", status.AllMulti)
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
		u.retry.reset()
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
	u.timer = time.AfterFunc(u.retry.next(), func() { u.notify(hostwatch.Event{Name: name}) })
}

// report says what went wrong, once until something else does.
func (u *uplink) report(err error) {
	if err == nil || err.Error() == u.fault {
		return
	}
	u.fault = err.Error()
	u.log.Warn("uplink trouble", "err", err)
}
