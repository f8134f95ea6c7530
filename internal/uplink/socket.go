// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// socket is what answers, with what it was told.
type socket struct {
	iface      *ndp.Interface // nil while there is no device
	responder  ndp.Responder  // nil while there is no socket
	membership Membership     // nil while there is no socket or no IPv6
	view       *rules.View    // what holds
	joined     *rules.View    // what the membership was told of
	unjoined   []netip.Prefix // those that the log names
	shown      ndp.MembershipStatus
}

// takeTable takes over a table that the store has published.
func (u *Uplink) takeTable(change rules.Change) {
	before, after := change.Before.View(u.name), change.After.View(u.name)
	switch u.view {
	case after: // as an uplink has that began with this table
	case before:
		u.follow(after, change.Deltas(u.name))
	default:
		u.resync()
	}
}

// resync takes over the table that holds, whatever was missed.
func (u *Uplink) resync() {
	latest := u.options.Store.Load().View(u.name)
	u.follow(latest, rules.Diff(u.view, latest))
}

// open makes sure that there is a working socket with the present facts.
func (u *Uplink) open() error {
	if err := u.closeFailed(); err != nil { // replaced after a while, should that one fail too
		return err
	}
	if u.responder != nil {
		u.responder.SetInterface(u.iface)
		u.join()
		return nil
	}
	u.view = u.options.Store.Load().View(u.name) // with the guards that were just set
	r, err := u.listen()
	if err != nil {
		return err
	}
	u.responder = r
	u.join()
	if u.settled {
		r.Settle()
	}
	return nil
}

// settle lets the responder give up what an earlier daemon has left.
func (u *Uplink) settle() {
	u.settled = true
	if u.responder != nil {
		u.responder.Settle()
	}
}

// listen opens a socket that answers by the present view.
func (u *Uplink) listen() (ndp.Responder, error) {
	return u.options.System.Listen(ndp.ListenConfig{
		Interface: u.iface, View: u.view, Counters: u.counters, Recent: u.recent,
		Sighted: u.sighted, Ask: u.options.Ask,
		PathChanged: func() { u.box.post(func(*mail) {}) }, // which is published
	})
}

// sighted takes a sign of another station from the receive loop, unless too many
// wait.
func (u *Uplink) sighted(s ndp.Sighting) {
	select {
	case u.sightings <- s:
	default:
	}
}

// socketDone is closed when the socket has failed by itself.
func (u *Uplink) socketDone() <-chan struct{} {
	if u.responder == nil {
		return nil
	}
	return u.responder.Done()
}

// closeFailed closes the socket if it has stopped by itself, and returns why.
func (u *Uplink) closeFailed() error {
	select {
	case <-u.socketDone():
		return fmt.Errorf("listen: %w", u.close())
	default:
		return nil
	}
}

// follow takes a new view over, which differs from the one before by deltas.
func (u *Uplink) follow(after *rules.View, deltas []rules.Delta) {
	before := u.view
	u.view = after
	if u.responder == nil {
		return
	}
	if err := u.responder.SetView(after, deltas); err != nil { // a new socket begins with it
		u.report("socket", errors.Join(err, u.close()))
		u.retryLater()
		return
	}
	if u.joined == before {
		u.joinDeltas(deltas)
	} else {
		u.join()
	}
	u.announcements.follow(u, deltas)
	u.handOver(deltas)
}

// join brings the memberships into line with the view. What failed is tried
// again from the beginning, and so is what the kernel forgot with its IPv6.
func (u *Uplink) join() {
	if !u.link.IPv6 {
		u.report("memberships", u.leave())
		return
	}
	if u.membership == nil {
		u.membership = u.options.System.Join(u.config.Membership, u.responder)
	}
	u.joinDeltas(rules.Diff(u.joined, u.view))
}

// rejoin makes the memberships anew, for another mode, and gives the old ones up
// after that: no solicitation is missed meanwhile.
func (u *Uplink) rejoin() {
	old := u.membership
	u.membership, u.joined = nil, nil
	u.join()
	if old != nil {
		u.report("memberships", old.Close())
	}
}

func (u *Uplink) joinDeltas(deltas []rules.Delta) {
	if u.membership == nil {
		return
	}
	if err := u.membership.Apply(u.view, deltas); err != nil {
		u.report("memberships", errors.Join(err, u.leave()))
		u.retryLater()
		return
	}
	u.joined = u.view
	u.shown = u.membership.Status()
	u.warnUnjoined()
}

// The log's advice for prefixes, and for single addresses, whose groups are not
// joined.
const (
	wideHelp = "prefixes are too wide to join the multicast groups of their addresses; " +
		"behind a switch with MLD snooping, solicitations for them may not arrive: " +
		"turn snooping off for this VLAN, make the switch port a static multicast router port, or use rules of /120 and longer"
	manyHelp = "the addresses are too many to join the multicast groups of all; " +
		"behind a switch with MLD snooping, solicitations for some may not arrive: " +
		"turn snooping off for this VLAN, or make the switch port a static multicast router port"
)

// warnUnjoined says for which prefixes of the rules solicitations may not arrive.
func (u *Uplink) warnUnjoined() {
	hears := u.view.Hears()
	if slices.Equal(hears, u.unjoined) {
		return // the rules are those that were warned of
	}
	u.unjoined = hears
	if len(u.shown.Unjoined) == 0 {
		return
	}
	level := slog.LevelInfo
	if !u.shown.AllMulti { // the operator wants joins only, so we are deaf to them
		level = slog.LevelWarn
	}
	help := wideHelp
	if u.shown.Unjoined[0].IsSingleIP() {
		help = manyHelp
	}
	u.log.Log(context.Background(), level, help, "count", u.shown.Wide, "like", u.shown.Unjoined[0], "all_multicast", u.shown.AllMulti)
}

// membershipStatus returns what the socket has joined.
func (u *Uplink) membershipStatus() ndp.MembershipStatus {
	if u.membership == nil {
		return ndp.MembershipStatus{}
	}
	return u.shown
}

// countDrops reads what the kernel has lost.
func (u *Uplink) countDrops() {
	if u.responder != nil {
		u.report("socket", u.responder.CountDrops())
	}
}

// close releases the socket with its memberships. Another one may follow, which
// goes on with the announcements.
func (u *Uplink) close() error {
	if u.responder == nil {
		return nil
	}
	err := errors.Join(u.leave(), u.responder.Close())
	u.responder = nil
	return err
}

// hold releases the socket at the end of the process: what can do without one goes on to
// answer.
func (u *Uplink) hold() error {
	if u.responder == nil {
		return nil
	}
	err := errors.Join(u.leave(), u.responder.Hold())
	u.responder = nil
	return err
}

// abandon releases the socket, and forgets what was to be announced and what
// stations claim: the uplink has no device to do so on.
func (u *Uplink) abandon() {
	u.report("socket", u.close())
	u.announcements.announcer.Stop()
	u.announcements.inquiries.clear()
	u.conflicts.clear(u)
}

// leave gives the memberships up.
func (u *Uplink) leave() error {
	if u.membership == nil {
		return nil
	}
	err := u.membership.Close()
	u.membership, u.joined = nil, nil
	return err
}

// send sends a frame that could be made.
func (u *Uplink) send(frame []byte, err error) error {
	if err != nil {
		return err
	}
	if u.responder == nil {
		return errNoSocket
	}
	return u.responder.Send(frame)
}

// errNoSocket is the error of a frame that has no socket to leave by.
var errNoSocket = errors.New("the uplink has no socket")

// report logs an error once, until its cause has another one.
func (u *Uplink) report(cause string, err error) {
	if err != nil {
		u.trouble.Report(cause, err)
	}
}

// askStations sends questions to stations.
func (u *Uplink) askStations(questions []question) {
	if u.responder == nil || u.state != Ready {
		return
	}
	for _, q := range questions {
		if u.conflicts.claims.Asked(q.target) && q.station == ndp.SolicitedNodeMAC(q.target) {
			continue // an answer without a question of the claim's own speaks against it
		}
		u.report("ask stations", u.send(u.iface.AskStation(q.target, q.station)))
	}
}
