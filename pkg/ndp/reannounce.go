// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"net/netip"
	"time"
)

// reannounceRate is how many addresses of an uplink are announced again in a second
// at most. It leaves half of [announceRate], which counts all together, to those that
// are announced because something has changed.
const reannounceRate = announceRate / 2

// Rounds decides when the addresses that an uplink announces are announced again,
// for switches and routers that lose what they have learned: each once in a round, in
// even distances. A round takes the interval, or longer where [reannounceRate] does
// not allow that. The zero Rounds is off. It is not safe for concurrent use.
//
// RFC 4861 §7.2.6 has no such repetition, which is why it is off by default.
type Rounds struct {
	interval  time.Duration
	addresses []netip.Addr // still to come in this round
	end       time.Time    // of the round
	step      time.Duration
	due       time.Time
}

// Start begins with a first round at a time, whatever went before. An interval of 0
// turns it off.
func (r *Rounds) Start(interval time.Duration, first time.Time) {
	*r = Rounds{interval: interval, due: first}
}

// Stop turns it off until Start.
func (r *Rounds) Stop() { *r = Rounds{} }

// Next returns when Pop has something to do, and false for never.
func (r *Rounds) Next() (time.Time, bool) { return r.due, r.interval > 0 }

// Pop returns an address whose turn it is, and false when there is none now. At the
// beginning of a round it asks for all addresses.
func (r *Rounds) Pop(now time.Time, all func() []netip.Addr) (netip.Addr, bool) {
	if r.interval <= 0 || r.due.After(now) {
		return netip.Addr{}, false
	}
	if len(r.addresses) == 0 {
		r.addresses = all()
		r.end = now.Add(r.interval)
		if len(r.addresses) == 0 {
			r.due = r.end
			return netip.Addr{}, false
		}
		r.step = max(r.interval/time.Duration(len(r.addresses)), time.Second/reannounceRate)
	}
	address := r.addresses[0]
	r.addresses = r.addresses[1:]
	if r.due = r.due.Add(r.step); !r.due.After(now) { // late: what was missed is not made up for at once
		r.due = now.Add(r.step)
	}
	if len(r.addresses) == 0 && r.due.Before(r.end) {
		r.due = r.end
	}
	return address, true
}
