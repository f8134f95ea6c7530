// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/task"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// maxSightings is how many signs of other stations may wait. A station that
// matters gives another one.
const maxSightings = 64

// Uplink is one interface that solicitations arrive on, through all of its life:
// absent, down, ready, deleted and created again. It implements [task.Task].
type Uplink struct {
	name      string
	options   Options
	log       *slog.Logger
	box       *mailbox
	sightings chan ndp.Sighting
	facts     atomic.Pointer[Facts]
	counters  *ndp.Counters
	recent    *ndp.Recent
	removed   atomic.Bool // from the configuration

	// What follows belongs to the goroutine of Run.
	socket
	announcements announcements
	conflicts     conflicts
	onLink        onLink
	config        rules.Uplink
	names         map[string]bool // of all uplinks
	link          rules.Link
	state         State
	why           string
	since         time.Time
	ready         bool // was ready before
	settled       bool // the evidence is complete
	looked        bool // for its interface
	configured    bool // has new settings, which others depend on, too
	retry         task.Backoff
	again         time.Time // of the next attempt; zero for none
	trouble       *task.Trouble
}

// newUplink returns an uplink that waits for its settings.
func newUplink(name string, o Options) *Uplink {
	u := &Uplink{
		name: name, options: o, log: o.Log.With("interface", name), box: newMailbox(),
		sightings: make(chan ndp.Sighting, maxSightings),
		counters:  new(ndp.Counters), recent: new(ndp.Recent),
		since: time.Now(), why: "it was not looked at yet",
	}
	u.config.Interface = name
	u.trouble = task.NewTrouble(u.log)
	u.publish()
	return u
}

// String implements [task.Task].
func (u *Uplink) String() string { return "uplink " + u.name }

// Ready implements [task.Task].
func (u *Uplink) Ready() error {
	if f := u.Facts(); f.State != Ready {
		return errors.New(f.Why)
	}
	return nil
}

// Facts returns the latest snapshot.
func (u *Uplink) Facts() *Facts {
	f := u.facts.Load()
	if f.path == nil {
		return f
	}
	fresh := *f
	fresh.Path = f.path()
	return &fresh
}

// Run lives the uplink's life until ctx ends, and gives the socket back then.
func (u *Uplink) Run(ctx context.Context) error {
	defer func() { u.end(u.removed.Load()) }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if at, ok := u.nextDeadline(); ok {
			timer.Reset(time.Until(at))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-u.box.wake:
			u.handle(u.box.take())
		case s := <-u.sightings:
			u.conflicts.sight(u, s, time.Now())
		case <-u.socketDone():
			u.refresh()
		case <-timer.C:
			u.handleDeadlines(time.Now())
		}
		u.announcements.schedule(u, time.Now())
		u.publish()
	}
}

// handle does what the mail asks for.
func (u *Uplink) handle(m mail) {
	if m.settings != nil {
		u.configure(*m.settings)
	}
	if m.presence != nil {
		u.config.Presence, u.config.Witnessed = m.presence.own, m.presence.witnessed
		u.updateInterface()
	}
	if m.settings != nil || m.link {
		u.refresh()
	} else {
		if m.hops {
			u.onLink.read(u)
			u.conflicts.readHops(u)
		}
		if m.stations {
			u.refreshStations()
		}
	}
	if m.resync {
		u.resync()
	}
	for _, change := range m.tables {
		u.takeTable(change)
	}
	if m.settled {
		u.settle()
	}
	if m.relieved && u.responder != nil {
		u.responder.Relieve()
	}
	u.conflicts.drop(u, m.appeared)
	u.askStations(m.questions)
	for _, call := range m.calls {
		call()
	}
}

// nextDeadline returns the earliest time at which the uplink has to do something
// that nobody asked for, and false if there is none.
func (u *Uplink) nextDeadline() (first time.Time, ok bool) {
	consider := func(at time.Time, has bool) {
		if has && (!ok || at.Before(first)) {
			first, ok = at, true
		}
	}
	consider(u.again, !u.again.IsZero())
	consider(u.announcements.announcer.Next())
	consider(u.announcements.inquiries.next(time.Now()))
	consider(u.announcements.rounds.Next())
	consider(u.conflicts.claims.Next())
	return first, ok
}

// handleDeadlines does what is due.
func (u *Uplink) handleDeadlines(now time.Time) {
	if !u.again.IsZero() && !now.Before(u.again) {
		u.again = time.Time{}
		u.refresh()
	}
	u.announcements.sendDue(u, now)
	u.conflicts.check(u, now)
}

// retryLater asks for another refresh after a while.
func (u *Uplink) retryLater() { u.again = time.Now().Add(u.retry.Next()) }

// end gives everything back, but for what answers until the next daemon takes over. An
// uplink that was removed from the configuration gives that back, too.
func (u *Uplink) end(removed bool) {
	release := u.hold
	if removed {
		release = u.close
	}
	if err := release(); err != nil {
		u.log.Warn("closing the uplink's socket failed", "err", err)
	}
	u.options.Store.SetGuards(u.name, nil)
	u.options.Store.SetOnLink(u.name, nil)
}

// sameWay compares what others of the daemon depend on of paths: what keeps unicast
// solicitations from the kernel.
func sameWay(a, b ndp.Path) bool { return a.Way == b.Way && a.Leaving == b.Leaving }

// publish shows the present facts, and tells others when they depend on what
// changed.
func (u *Uplink) publish() {
	last := u.facts.Load()
	next := &Facts{
		Config: u.config, State: u.state, Why: u.why, Since: u.since, Looked: u.looked, Link: u.link, Interface: u.iface, View: u.view,
		Membership: u.membershipStatus(), Conflicts: u.conflicts.standing(),
		Announcing: u.announcements.announcer.Len(), Unannounced: u.announcements.announcer.Dropped,
		Counters: u.counters, Recent: u.recent,
	}
	if u.responder != nil {
		next.alive, next.path, next.Path = u.responder.Alive, u.responder.Path, u.responder.Path()
	}
	u.facts.Store(next)
	if last == nil || u.configured || last.Looked != next.Looked || last.State != next.State || last.Why != next.Why || !sameWay(last.Path, next.Path) || !sameLink(last.Link, next.Link) {
		u.configured = false
		u.options.Changed()
	}
}
