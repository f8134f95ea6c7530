// SPDX-License-Identifier: Apache-2.0

package fastpath

import "time"

// pinAnew pins a program whose folder somebody has removed, or that could not be pinned,
// such as before the bpffs was mounted. Who holds the lock ends the guard perhaps, and so is
// not waited for.
func (r *Responder) pinAnew(fast *running) {
	now := time.Now()
	if fast.folder != nil && fast.folder.complete() || now.Before(fast.pinAgain) || !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if r.fast != fast || !fast.program.owned() {
		return
	}
	before, reason := fast.pinned()
	fast.pinAgain = fast.pins.next(now)
	r.pin(fast)
	r.showLines()
	switch after, why := fast.pinned(); {
	case after != "":
		r.log().Info("the program in the kernel is pinned", "folder", after)
	case before != "" || why != reason:
		r.log().Warn("answers will end with the daemon", "why", why)
	}
}

// pin pins a program in a folder that is made anew.
func (r *Responder) pin(fast *running) {
	if fast.folder == nil {
		if fast.folder, fast.why = r.pins(); fast.folder == nil {
			return
		}
	}
	fast.why = nil
	fast.program.pinLater()
	fast.keep(r.Index(), false)
}
