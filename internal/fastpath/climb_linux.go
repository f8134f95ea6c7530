// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// climb has a program answer by a better way than it does once that can be had, such as
// when another program has left the hook, and reports whether it does. Both ways have one
// table, and the better one is there before the other goes. Like pinAnew it does not wait for
// the lock.
func (r *Responder) climb(fast *running) bool {
	if fast.best || !r.mu.TryLock() {
		return false
	}
	defer r.mu.Unlock()
	if r.ended || r.fast != fast || !fast.program.owned() {
		return false
	}
	if !r.liftRefusals(fast.device) && time.Now().Before(fast.climbAgain) {
		return false
	}
	var h hook
	var failed []attempt
	r.within(func() { h, failed = r.attach(fast.device, fast.program, fast.hook.Way()) })
	if h == nil {
		r.showAttempts(fast, failed)
		r.showPath()
		return false
	}
	before := fast.hook
	fast.hook = h
	fast.rely()
	was, _ := fast.pinned()
	r.pin(fast)
	var err error
	if is, _ := fast.pinned(); is == "" && was != "" { // the folder still keeps the other hook
		err = fast.folder.remove()
	}
	if err := errors.Join(err, before.Close()); err != nil {
		r.log().Warn("the program stays attached the other way as well", "way", before.Way().String(), "err", err)
	}
	r.showWay(fast, failed)
	r.showPath()
	return true
}

// showWay shows that the program answers, and which better ways do not.
func (r *Responder) showWay(fast *running, failed []attempt) {
	r.path.Store(&ndp.Path{Way: fast.hook.Way(), Hook: fast.hook.Name(), Since: time.Now(), Leaving: r.leaving != nil})
	r.showLines()
	r.showAttempts(fast, failed)
}

// showAttempts shows why no better way answers, and has that be tried again if it may pass.
func (r *Responder) showAttempts(fast *running, failed []attempt) {
	path := *r.path.Load()
	path.Why, path.Again = reasons(failed), time.Time{}
	for _, a := range failed {
		switch {
		case r.refused(a.way) != nil:
			path.Again = sooner(path.Again, r.refusals[a.way].until)
		case passes(a.err):
			path.Again = sooner(path.Again, fast.climbs.next(time.Now()))
		}
	}
	fast.climbAgain, fast.best = path.Again, path.Again.IsZero()
	r.path.Store(&path)
	r.warnOnce(path.Way, path.Why)
}
