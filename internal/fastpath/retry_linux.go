// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"cmp"
	"errors"
	"time"
)

// giveUp leaves everything to the packet socket because a task of a program has found that it
// does not answer or cannot be believed, or to the next way where its answers do not leave.
func (r *Responder) giveUp(fast *running, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.fast != fast { // it was closed meanwhile
		return
	}
	way := fast.hook.Way()
	r.log().Warn("the program in the kernel is given up", "way", way.String(), "why", why)
	lost := errors.Is(why, errLost)
	if lost {
		r.refuse(way, why)
	}
	r.fallBack(why)
	if lost { // the next way may do
		r.restart()
	}
	r.showPath()
}

// startAgain tries to put the program before the socket.
func (r *Responder) startAgain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.fast != nil {
		return
	}
	r.restart()
	r.showPath()
}

// restart puts the program before the socket in the uplink's network namespace.
func (r *Responder) restart() {
	r.within(func() {
		r.endLeaving()
		r.start()
	})
}

// retryLater has the program be tried again, and returns when that is. Where all ways are
// refused the attempts before look at the device alone.
func (r *Responder) retryLater() time.Time {
	now := time.Now()
	r.retries.first = firstRetry
	if r.leftover == "" && usable(&r.config, r.options) != nil {
		r.retries.first = cmp.Or(r.options.seldom, seldomRetry)
	}
	at := r.retries.next(now)
	if r.allRefused() == nil {
		r.retry = time.AfterFunc(at.Sub(now), r.startAgain)
		return at
	}
	var until time.Time
	for _, way := range waysOf(&r.config) {
		until = sooner(until, r.refusals[way].until)
	}
	r.retry = time.AfterFunc(sooner(at, until).Sub(now), r.startAgain)
	return until
}

// sooner returns the earlier of two times, of which the zero value is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// stopRetry has it not be tried again by itself.
func (r *Responder) stopRetry() {
	if r.retry != nil {
		r.retry.Stop()
		r.retry = nil
	}
}

// within calls a function in the uplink's network namespace.
func (r *Responder) within(do func()) {
	if r.options.within == nil { // all of the daemon is in one
		do()
		return
	}
	r.options.within(do)
}

// showPath lets the responder's owner hear that the path has changed.
func (r *Responder) showPath() {
	if r.changed != nil {
		r.changed()
	}
}
