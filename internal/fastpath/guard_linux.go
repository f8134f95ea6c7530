// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// How often the guard looks whether the program answers: at rest, and while answers have
// yet to show that they leave.
const (
	lookEvery   = 2 * time.Second
	lookClosely = 500 * time.Millisecond
	// closely is how long after an attachment the guard looks closely.
	closely = 30 * time.Second
)

// How long it takes until the program is attached again after it was lost: somebody who
// detaches it again and again is not fought with.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// loss is what the guard of a program has found.
type loss struct {
	fast *running
	why  error
}

// guard looks whether the program is attached and its table whole, and whether its
// answers leave, until it is closed or something is found. Where a frame no longer
// reaches the program or its table, the packet socket answers it, looked at or not.
func (r *Responder) guard(fast *running) {
	began := time.Now()
	timer := time.NewTimer(lookClosely)
	defer timer.Stop()
	p := r.begin(fast)
	for {
		select {
		case <-fast.stop:
			return
		case <-timer.C:
		}
		err := r.look(fast, p)
		if err != nil {
			select {
			case r.found <- loss{fast, err}:
			case <-fast.stop:
			}
			return
		}
		if p != nil && p.pending() || time.Since(began) < closely {
			timer.Reset(lookClosely)
		} else {
			timer.Reset(lookEvery)
		}
	}
}

// look looks once.
func (r *Responder) look(fast *running, p *proof) error {
	if err := fast.hook.Attached(); err != nil {
		return err
	}
	if fast.hook.Way() == ndp.WayXDP && !r.options.blind {
		if err := fast.device.peerTakesXDP(); errors.Is(err, errNoPeerProgram) {
			return fmt.Errorf("%w: %w", errLost, err)
		}
	}
	r.pinAnew(fast)
	switch repaired, err := fast.program.repair(); {
	case err != nil:
		return err
	case repaired:
		r.log().Warn("another has changed the table of the program in the kernel: it was built anew")
	}
	return r.prove(fast, p)
}

// pinRetry is how long it takes until a program is pinned anew that could not be.
const pinRetry = 30 * time.Second

// pinAnew pins a program whose folder somebody has removed, or could not be written. Who
// holds the lock ends the guard perhaps, and so is not waited for.
func (r *Responder) pinAnew(fast *running) {
	if fast.folder == nil || fast.folder.complete() || time.Since(fast.pinTried) < pinRetry || !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if r.fast != fast || !fast.program.owned() {
		return
	}
	before, _ := fast.pinned()
	fast.pinTried, fast.why = time.Now(), nil
	fast.program.pinLater()
	fast.keep(r.Index(), false)
	r.showLines()
	if after, why := fast.pinned(); after == "" && before != "" {
		r.log().Warn("answers will end with the daemon", "why", why)
	} else if after != "" {
		r.log().Info("the program in the kernel is pinned anew", "folder", after)
	}
}

// begin takes down what was answered and sent before, nil where the device says nothing.
func (r *Responder) begin(fast *running) *proof {
	before, err := fast.device.sent(fast.hook.Way())
	if err != nil {
		return nil
	}
	answered, err := fast.program.answered()
	if err != nil {
		return nil
	}
	return &proof{answered: answered, sent: before}
}

// prove looks whether the answers leave that were made since they did last.
func (r *Responder) prove(fast *running, p *proof) error {
	if p == nil {
		return nil
	}
	answered, err := fast.program.answered()
	if err != nil || answered == p.answered {
		return err
	}
	before, err := fast.device.sent(fast.hook.Way())
	if err != nil {
		return nil //nolint:nilerr // nothing can be concluded
	}
	if answered, err = fast.program.answered(); err != nil {
		return err
	}
	after, err := fast.device.sent(fast.hook.Way())
	if err != nil {
		return nil //nolint:nilerr // nothing can be concluded
	}
	return p.judge(answered, before, after, time.Now())
}

// tend takes the program away when its guard has found that it does not answer, and
// attaches it again later, until the responder ends.
func (r *Responder) tend() {
	wait := firstRetry
	retry := time.NewTimer(0)
	<-retry.C
	for {
		select {
		case <-r.Done():
			retry.Stop()
			return
		case l := <-r.found:
			if time.Since(r.Path().Since) > lastRetry {
				wait = firstRetry
			}
			if r.lost(l) {
				retry.Reset(wait)
				wait = min(2*wait, lastRetry)
			}
		case <-r.failed:
			retry.Reset(wait)
			wait = min(2*wait, lastRetry)
		case <-retry.C:
			if r.again() {
				retry.Reset(wait)
				wait = min(2*wait, lastRetry)
			}
		}
	}
}

// lost leaves everything to the packet socket, or to the next way, and reports whether the
// program is to be tried again.
func (r *Responder) lost(l loss) (again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.fast != l.fast { // it was closed meanwhile
		return false
	}
	way := l.fast.hook.Way()
	r.log().Warn("the program in the kernel is given up", "way", way.String(), "why", l.why)
	r.fallBack(l.why)
	if errors.Is(l.why, errLost) {
		r.refused[way] = l.why
		r.restart()
	} else {
		again = true
	}
	r.tell()
	return again
}

// giveUp leaves everything to the packet socket because a change has failed, and has the
// program be tried again later: room in the kernel may come. Where the program cannot
// decide on the interface, only another interface helps.
func (r *Responder) giveUp(why error) {
	r.fallBack(why)
	if r.unfit() {
		return
	}
	select {
	case r.failed <- struct{}{}:
	default:
	}
}

// again tries to attach the program, and reports whether to try again.
func (r *Responder) again() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.fast != nil || usable(&r.config, r.options) != nil {
		return false
	}
	r.restart()
	r.tell()
	return r.fast == nil
}

// restart puts the program before the socket in the uplink's network namespace.
func (r *Responder) restart() {
	if r.options.within == nil { // all of the daemon is in one
		r.start()
		return
	}
	r.options.within(r.start)
}

// tell lets the responder's owner hear that another way answers.
func (r *Responder) tell() {
	if r.changed != nil {
		r.changed()
	}
}
