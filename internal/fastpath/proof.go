// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"time"
)

// errLost is wrapped by what is found when answers do not leave. Another way has to
// answer then.
var errLost = errors.New("answers do not leave the device")

// proof compares what the program has answered with what the device has sent, because a
// successful attachment proves nothing: some drivers lose what is sent by XDP without an
// error. It is pure, and not safe for concurrent use.
type proof struct {
	answered    uint64    // of which it is known that they have left, or may have
	sent        sent      // by the device before that was read
	outstanding time.Time // since when more is answered than was sent; zero for never
}

// sent is what a device has sent.
type sent struct {
	// frames are the counters that may have the answers: drivers differ in which.
	frames []uint64
	// failed is what could not be sent.
	failed uint64
	// late is true where a driver may bring its counters up to date from time to time.
	late bool
}

const (
	// enoughAnswers is how many answers must be lost before a way is given up.
	enoughAnswers = 3
	// A device without a card counts at once. Drivers read the counters of their card up
	// to every two seconds.
	graceVirtual, graceCard = time.Second, 5 * time.Second
	// forgotten is how long the guard looks closely at what has not been seen to leave.
	forgotten = 30 * time.Second
)

// pending reports whether answers have yet to be seen to leave.
func (p *proof) pending() bool { return !p.outstanding.IsZero() }

// judge takes what the program has answered in all, and what the device had sent in all
// before and after that was read. It returns an error where answers do not leave.
func (p *proof) judge(answered uint64, before, after sent, now time.Time) error {
	more, moved := answered-p.answered, p.sentSince(after)
	failed := after.failed - p.sent.failed
	switch {
	case moved >= more:
		*p = proof{answered: answered, sent: before}
		return nil
	case failed >= enoughAnswers && failed*2 >= more:
		return fmt.Errorf("%w: of %d answers it could not send %d", errLost, more, failed)
	case !p.pending():
		p.outstanding = now
		return nil
	}
	grace := graceVirtual
	if after.late {
		grace = graceCard
	}
	if now.Sub(p.outstanding) >= grace && more >= enoughAnswers && moved*2 < more {
		return fmt.Errorf("%w: the program has made %d answers, and it has sent %d frames", errLost, more, moved)
	}
	if now.Sub(p.outstanding) >= forgotten { // of one or two answers nothing can be concluded
		*p = proof{answered: answered, sent: before}
	}
	return nil
}

// sentSince returns by how much the counter has moved that has moved most.
func (p *proof) sentSince(after sent) (most uint64) {
	for i := range min(len(after.frames), len(p.sent.frames)) {
		most = max(most, after.frames[i]-p.sent.frames[i])
	}
	return most
}
