// SPDX-License-Identifier: Apache-2.0

package fastpath

import "time"

// How long a way is refused whose answers were lost: trying it costs the next few answers.
const (
	firstRefusal = 10 * time.Minute
	lastRefusal  = 4 * time.Hour
	// changedRefusal is how long it is refused, of firstRefusal, where the device has changed
	// since. What changes before that may be our doing: some drivers take the link down for
	// a moment when a program comes or goes.
	changedRefusal = time.Minute
)

// refusal keeps the program from a way whose answers were lost, until it is worth a try
// again: after a while, which is twice as long each time, or in a tenth of that if the
// device has changed. It is pure, and not safe for concurrent use.
type refusal struct {
	why     error // nil while the way is not refused
	times   backoff
	changed time.Duration // changedRefusal
	until   time.Time
	// before is the device as it was, the zero value before it was looked at, and other is
	// true once it was another than that.
	before deviceState
	other  bool
}

func newRefusal() *refusal {
	return &refusal{times: backoff{first: firstRefusal, last: lastRefusal}, changed: changedRefusal}
}

// deviceState is what may decide whether a driver sends what a program answers.
type deviceState struct {
	known       bool
	up          bool
	mac         [6]byte
	master, mtu int
	program     uint32 // at XDP
	peerTakes   bool   // the other end of a veth has an XDP program
}

// refuse takes down that answers were lost.
func (f *refusal) refuse(why error, now time.Time) {
	f.why, f.until, f.before, f.other = why, f.times.next(now), deviceState{}, false
}

// look takes the state of the device, and lifts the refusal if it is over.
func (f *refusal) look(now time.Time, is deviceState) {
	if now.Sub(f.times.failed) >= f.changed && is.known {
		f.other = f.other || f.before.known && f.before != is
		if !f.before.known {
			f.before = is
		}
	}
	sooner := f.changed * (f.times.wait / f.times.first)
	if !now.Before(f.until) || f.other && is.up && now.Sub(f.times.failed) >= sooner {
		f.why = nil
	}
}
