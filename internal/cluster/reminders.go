// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"time"
)

const (
	// remindEvery is how often the same thing is reported at most.
	remindEvery = time.Minute
	// maxReminders bounds what is remembered: frames can be forged.
	maxReminders = 1024
)

// Reasons of Events about an address that another station has, or answers for as well.
const (
	addressConflict = "AddressConflict"
	addressShared   = "AddressShared"
)

// reminder is what was reported of an address on an uplink. An invalid address stands for
// any, and no uplink for all.
type reminder struct {
	reason  string // of the Event that tells it
	uplink  string
	address netip.Addr
}

// reminders tell when something was last reported. The zero reminders are ready to
// use.
type reminders struct{ last map[reminder]time.Time }

// due reports whether it is time to report something again, and assumes that it is
// reported then.
func (r *reminders) due(what reminder, now time.Time) bool {
	if at, ok := r.last[what]; ok && now.Sub(at) < remindEvery {
		return false
	}
	if len(r.last) >= maxReminders {
		for old, at := range r.last {
			if now.Sub(at) >= remindEvery {
				delete(r.last, old)
			}
		}
		if len(r.last) >= maxReminders {
			return false
		}
	}
	if r.last == nil {
		r.last = make(map[reminder]time.Time)
	}
	r.last[what] = now
	return true
}
