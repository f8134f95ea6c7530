// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// LinkChanged says that the interface changed, and that it has to be read again.
func (u *Uplink) LinkChanged() { u.box.post(func(m *mail) { m.link = true }) }

// StationsChanged says that only the stations behind a bridge's ports changed.
func (u *Uplink) StationsChanged() { u.box.post(func(m *mail) { m.stations = true }) }

// HopsChanged says that the next hops or on-link prefixes of the routes through the
// uplink changed. It reads them itself, so that they are those of the device that it
// has by then.
func (u *Uplink) HopsChanged() { u.box.post(func(m *mail) { m.hops = true }) }

// SetPresence sets the address at which other nodes see that this one is alive, an
// invalid one for none, and those at which they see which other nodes it hears.
func (u *Uplink) SetPresence(own netip.Addr, witnessed []netip.Addr) {
	u.box.post(func(m *mail) { m.presence = &presence{own, witnessed} })
}

// presence is what other nodes see of this one's daemon.
type presence struct {
	own       netip.Addr
	witnessed []netip.Addr
}

// Appeared says that addresses have just appeared behind us, which is later
// evidence than any claim to them.
func (u *Uplink) Appeared(addresses []netip.Addr) {
	u.box.post(func(m *mail) { m.addAppeared(addresses) })
}

// Ask sends a station the question whether it has the target.
func (u *Uplink) Ask(target netip.Addr, station [6]byte) {
	u.box.post(func(m *mail) { m.addQuestion(question{target, station}) })
}

// tableChanged says that the store has published a table.
func (u *Uplink) tableChanged(c rules.Change) {
	u.box.post(func(m *mail) { m.addTable(c) })
}

// Sync waits until the uplink has handled all that was posted before, or returns
// ctx's error when that does not come to pass.
func (u *Uplink) Sync(ctx context.Context) error { return u.call(ctx, func() {}) }

// errStuck is the error of a call to an uplink for which too many wait already.
var errStuck = errors.New("the uplink is stuck")

// call runs f in the uplink's goroutine, and waits for that.
func (u *Uplink) call(ctx context.Context, f func()) error {
	done, posted := make(chan struct{}), false
	u.box.post(func(m *mail) {
		posted = m.addCall(func() {
			f()
			close(done)
		})
	})
	if !posted {
		return errStuck
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// concerns reports whether e may affect this uplink. Until the interface exists
// every new link is a candidate, because it may carry the configured name as an
// alternative name.
func (u *Uplink) concerns(e hostwatch.Event) bool {
	index := u.Facts().Link.Index
	switch {
	case e.Name == u.name, e.Index == 0:
		return true
	case index == 0:
		return e.Name != ""
	}
	return e.Index == index
}

// Series tells when the last series of announcements for an address began, and
// how many are still to come; ok is false for an address that was not announced
// lately. It asks the uplink's goroutine, and fails with ctx's error when that
// does not answer.
func (u *Uplink) Series(ctx context.Context, a netip.Addr) (begun time.Time, left int, ok bool, err error) {
	type answer struct {
		begun time.Time
		left  int
		ok    bool
	}
	got := make(chan answer, 1)
	err = u.call(ctx, func() {
		var s answer
		s.begun, s.left, s.ok = u.announcements.announcer.State(a)
		got <- s
	})
	if err != nil {
		return time.Time{}, 0, false, err
	}
	s := <-got
	return s.begun, s.left, s.ok, nil
}
