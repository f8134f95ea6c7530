// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"sync"
	"time"
)

// errorWindow is how long an ICMPv6 error beside an answer counts. A router
// checks a neighbor that it uses every 30 s or so (REACHABLE_TIME, RFC 4861 §10),
// so errors that go on show in each window.
const errorWindow = 10 * time.Minute

// errorSlots is how many parts a window has; the oldest is forgotten as a whole.
const errorSlots = 10

// UnicastErrors counts the ICMPv6 errors that the kernel sends for unicast
// solicitations of addresses that are not its own, while the daemon answers them.
// The kernel has one counter for all errors of an interface, of which a public
// host sends many; so an error counts only as far as a unicast solicitation was
// answered between the same two observations.
//
// The zero UnicastErrors is ready to use, by any number of goroutines.
type UnicastErrors struct {
	mu    sync.Mutex
	last  UnicastSample
	slots [errorSlots]errorSlot
}

// errorSlot counts the errors of one part of the window.
type errorSlot struct {
	number int64 // of the part, since 1970
	errors uint64
}

// UnicastSample is what was read of one interface at one moment.
type UnicastSample struct {
	At time.Time
	// Index is that of the device; its counters are lost with it.
	Index int
	// Errors is how many ICMPv6 Destination Unreachable messages the kernel has
	// sent out of the interface, Answered how many unicast solicitations the
	// daemon has answered there.
	Errors, Answered uint64
}

// Observe adds a sample, and returns how many errors followed our answers in the
// last ten minutes at most. The first sample of a device counts nothing, nor does
// one after a longer pause: nobody knows when its errors were sent.
func (u *UnicastErrors) Observe(s UnicastSample) uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	last := u.last
	if last.Index != s.Index {
		u.slots = [errorSlots]errorSlot{}
	}
	u.last = s
	now := s.At.UnixNano() / int64(errorWindow/errorSlots)
	if pause := s.At.Sub(last.At); last.Index == s.Index && pause >= 0 && pause <= errorWindow &&
		s.Errors > last.Errors && s.Answered > last.Answered {
		slot := &u.slots[now%errorSlots]
		if slot.number != now {
			*slot = errorSlot{number: now}
		}
		slot.errors += min(s.Errors-last.Errors, s.Answered-last.Answered)
	}
	var sum uint64
	for _, slot := range u.slots {
		if age := now - slot.number; age >= 0 && age < errorSlots {
			sum += slot.errors
		}
	}
	return sum
}
