// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"container/heap"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

const (
	// announcements is how often an address is announced,
	// MAX_NEIGHBOR_ADVERTISEMENT of RFC 4861 §10.
	announcements = 3
	// announceAgain is the time between them, RETRANS_TIMER of RFC 4861 §10.
	announceAgain = time.Second
	// announceRate is how many announcements of an uplink leave in a second,
	// evenly spaced, since each reaches every station of the link (RFC 4861
	// §7.2.6).
	announceRate = 100
	// urgentRate is how many may leave besides of addresses that were taken over
	// from another node, each the first of its series: routers send to a node that
	// has died until they hear it.
	urgentRate = 1000
	// announceRest is the time from the beginning of a series to that of the
	// next one for the same address. Fabrics freeze an address that moves too
	// often (RFC 9161).
	announceRest = 10 * time.Second
	// announceRetry is the time after which an announcement is repeated that the
	// device had no room for.
	announceRetry = 100 * time.Millisecond
	// maxAnnounced bounds the addresses that are announced or rest.
	maxAnnounced = 4096
	// maxTakenOver bounds them together with addresses that were taken over.
	maxTakenOver = 16384
)

// Announcer decides when which address is announced on one uplink. It sends
// nothing itself and is not safe for concurrent use.
type Announcer struct {
	series map[netip.Addr]*series
	lanes  [laneCount]lane
	popped time.Time // when the last announcement left
	// Dropped counts addresses for which there was no room.
	Dropped uint64
}

// series are the announcements of one address.
type series struct {
	address  netip.Addr
	override bool
	urgent   bool // the first announcement is
	left     int  // 0 while the address rests
	due      time.Time
	begun    time.Time
	again    bool // another series follows the rest
	repeat   bool // it is one announcement, after which there is no rest
	lane     int
	place    int // in the lane's queue
}

func (s *series) dueAt() time.Time { return s.due }
func (s *series) setPlace(i int)   { s.place = i }

// Announcement is one unsolicited advertisement to send.
type Announcement struct {
	Address  netip.Addr
	Override bool
	// First and Last are true for the first and the last one of a series.
	First, Last bool
	// Repeat is true for one that is no part of a series, see [Announcer.Repeat].
	Repeat bool
}

// TakeOver is Announce for an address that another node had: routers have to hear
// it at once, whenever it was announced last.
func (a *Announcer) TakeOver(address netip.Addr, override bool, at time.Time) {
	a.begin(address, override, at, maxTakenOver)
	s := a.series[address]
	if s == nil {
		return
	}
	if s.urgent = true; s.left == 0 {
		s.left, s.again, s.begun = announcements, false, at
		s.due = at
	}
	a.move(s, s.due)
}

// Announce begins a series for an address at a time. Within [announceRest] of
// the last one it begins after that.
func (a *Announcer) Announce(address netip.Addr, override bool, at time.Time) {
	a.begin(address, override, at, maxAnnounced)
}

func (a *Announcer) begin(address netip.Addr, override bool, at time.Time, most int) {
	s := a.series[address]
	switch {
	case s != nil && s.repeat:
		a.remove(s)
	case s != nil:
		s.override, s.again = override, true
		return
	}
	if len(a.series) >= most {
		a.Dropped++
		return
	}
	a.add(&series{address: address, override: override, left: announcements, due: at, begun: at})
}

// Repeat announces an address once, unless it is being announced or rests. Such an
// announcement waits for those of series that are due before it, and never keeps one
// from beginning.
func (a *Announcer) Repeat(address netip.Addr, override bool, at time.Time) {
	if a.series[address] == nil && len(a.series) < maxAnnounced {
		a.add(&series{address: address, override: override, left: 1, due: at, begun: at, repeat: true})
	}
}

// add puts a series into the common lane.
func (a *Announcer) add(s *series) {
	if a.series == nil {
		a.series = make(map[netip.Addr]*series)
	}
	s.lane = commonLane
	a.series[s.address] = s
	heap.Push(&a.lanes[commonLane].queue, s)
}

// remove forgets a series.
func (a *Announcer) remove(s *series) {
	heap.Remove(&a.lanes[s.lane].queue, s.place)
	delete(a.series, s.address)
}

// move sets the time at which a series goes on, and puts it into its lane.
func (a *Announcer) move(s *series, due time.Time) {
	heap.Remove(&a.lanes[s.lane].queue, s.place)
	s.due, s.lane = due, commonLane
	if s.urgent && s.left == announcements {
		s.lane = urgentLane
	}
	heap.Push(&a.lanes[s.lane].queue, s)
}

// Withdraw ends the series of an address that is no longer ours. The address
// still rests.
func (a *Announcer) Withdraw(address netip.Addr) {
	switch s := a.series[address]; {
	case s == nil:
	case s.repeat:
		a.remove(s)
	default:
		s.left, s.again = 0, false
		a.move(s, s.begun.Add(announceRest))
	}
}

// Clear forgets everything, as when all has to be announced from a new MAC
// address.
func (a *Announcer) Clear() {
	a.series = nil
	for i := range a.lanes {
		a.lanes[i].queue = nil
	}
}

// WithdrawAll ends the series of all addresses that are no longer ours.
func (a *Announcer) WithdrawAll(gone func(netip.Addr) bool) {
	for address := range a.series {
		if gone(address) {
			a.Withdraw(address)
		}
	}
}

// Stop ends all series, as when the uplink is lost. The addresses still rest.
func (a *Announcer) Stop() { a.WithdrawAll(func(netip.Addr) bool { return true }) }

// Charge counts frames that were sent beside an announcement.
func (a *Announcer) Charge(frames int) {
	l := &a.lanes[commonLane]
	for range frames {
		l.limiter(announceRate).ReserveN(a.popped, 1)
	}
	l.free = a.popped.Add(untilToken(l.limiter(announceRate), a.popped))
}

// Retry takes back an announcement that Pop returned and the device had no room
// for ([ErrBusy]): it comes again a little later.
func (a *Announcer) Retry(n Announcement, now time.Time) {
	if n.Repeat {
		a.Repeat(n.Address, n.Override, now.Add(announceRetry))
		return
	}
	s := a.series[n.Address]
	if s == nil || s.left == 0 && !n.Last { // withdrawn meanwhile
		return
	}
	s.left++
	a.move(s, now.Add(announceRetry))
}

// Len returns how many addresses are being announced or rest.
func (a *Announcer) Len() int { return len(a.series) }

// State tells when the last series for an address began, and how many of its
// announcements are still to come; ok is false for an address that is neither
// being announced nor rests.
func (a *Announcer) State(address netip.Addr) (begun time.Time, left int, ok bool) {
	s := a.series[address]
	if s == nil {
		return time.Time{}, 0, false
	}
	return s.begun, s.left, true
}

// Next returns when Pop has something to do, and false for never.
func (a *Announcer) Next() (first time.Time, ok bool) {
	for i := range a.lanes {
		if due, waits := a.lanes[i].next(); waits && (!ok || due.Before(first)) {
			first, ok = due, true
		}
	}
	return first, ok
}

// Pop returns an announcement that is due, and false when there is none now.
func (a *Announcer) Pop(now time.Time) (Announcement, bool) {
	for i, perSecond := range [laneCount]rate.Limit{urgentLane: urgentRate, commonLane: announceRate} {
		l := &a.lanes[i]
		for due, ok := l.next(); ok && !due.After(now); due, ok = l.next() {
			s := l.queue[0]
			if s.left == 0 {
				a.endRest(s, now)
				continue
			}
			if !l.take(now, perSecond) {
				break
			}
			return a.pop(s, now), true
		}
	}
	return Announcement{}, false
}

// pop returns the next announcement of a series.
func (a *Announcer) pop(s *series, now time.Time) Announcement {
	a.popped = now
	if s.repeat {
		a.remove(s)
		return Announcement{Address: s.address, Override: s.override, Repeat: true}
	}
	first := s.left == announcements
	if first {
		s.begun = now
	}
	s.left--
	due := now.Add(announceAgain)
	if s.left == 0 {
		due = s.begun.Add(announceRest)
	}
	a.move(s, due)
	return Announcement{Address: s.address, Override: s.override, First: first, Last: s.left == 0}
}

// endRest begins the series that was asked for meanwhile, or forgets the
// address.
func (a *Announcer) endRest(s *series, now time.Time) {
	if !s.again {
		a.remove(s)
		return
	}
	s.left, s.again, s.urgent, s.begun = announcements, false, false, now
	a.move(s, now)
}
