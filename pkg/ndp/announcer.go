// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"container/heap"
	"net/netip"
	"time"
)

const (
	// announcements is how often an address is announced,
	// MAX_NEIGHBOR_ADVERTISEMENT of RFC 4861 §10.
	announcements = 3
	// announceAgain is the time between them, RETRANS_TIMER of RFC 4861 §10.
	announceAgain = time.Second
	// announceGap spaces all announcements of an uplink: at most 100 a second,
	// since each reaches every station of the link (RFC 4861 §7.2.6).
	announceGap = 10 * time.Millisecond
	// urgentGap follows the first announcement of an address that was taken over
	// from another node: routers send to a node that has died until they hear it.
	urgentGap = time.Millisecond
	// announceRest is the time from the beginning of a series to that of the
	// next one for the same address. Fabrics freeze an address that moves too
	// often (RFC 9161).
	announceRest = 10 * time.Second
	// maxAnnounced bounds the addresses that are announced or rest.
	maxAnnounced = 4096
	// maxTakenOver bounds them together with addresses that were taken over.
	maxTakenOver = 16384
)

// Announcer decides when which address is announced on one uplink. It sends
// nothing itself and is not safe for concurrent use.
type Announcer struct {
	series map[netip.Addr]*series
	queue  schedule[*series]
	free   time.Time // when the next announcement may leave
	// Dropped counts addresses for which there was no room.
	Dropped uint64
}

// series are the announcements of one address.
type series struct {
	address  netip.Addr
	override bool
	urgent   bool
	left     int // 0 while the address rests
	due      time.Time
	begun    time.Time
	again    bool // another series follows the rest
	place    int  // in the queue
}

func (s *series) dueAt() time.Time { return s.due }
func (s *series) setPlace(i int)   { s.place = i }

// Announcement is one unsolicited advertisement to send.
type Announcement struct {
	Address  netip.Addr
	Override bool
	// First and Last are true for the first and the last one of a series.
	First, Last bool
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
		s.left, s.again, s.due, s.begun = announcements, false, at, at
		heap.Fix(&a.queue, s.place)
	}
}

// Announce begins a series for an address at a time. Within [announceRest] of
// the last one it begins after that.
func (a *Announcer) Announce(address netip.Addr, override bool, at time.Time) {
	a.begin(address, override, at, maxAnnounced)
}

func (a *Announcer) begin(address netip.Addr, override bool, at time.Time, most int) {
	if a.series == nil {
		a.series = make(map[netip.Addr]*series)
	}
	s := a.series[address]
	if s != nil {
		s.override, s.again = override, true
		return
	}
	if len(a.series) >= most {
		a.Dropped++
		return
	}
	s = &series{address: address, override: override, left: announcements, due: at, begun: at}
	a.series[address] = s
	heap.Push(&a.queue, s)
}

// Withdraw ends the series of an address that is no longer ours. The address
// still rests.
func (a *Announcer) Withdraw(address netip.Addr) {
	if s := a.series[address]; s != nil {
		s.left, s.again = 0, false
		s.due = s.begun.Add(announceRest)
		heap.Fix(&a.queue, s.place)
	}
}

// Clear forgets everything, as when all has to be announced from a new MAC
// address.
func (a *Announcer) Clear() { a.series, a.queue = nil, nil }

// Stop ends all series, as when the uplink is lost. The addresses still rest.
func (a *Announcer) Stop() {
	for address := range a.series {
		a.Withdraw(address)
	}
}

// Charge counts frames that were sent beside an announcement.
func (a *Announcer) Charge(frames int) { a.free = a.free.Add(time.Duration(frames) * announceGap) }

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
func (a *Announcer) Next() (time.Time, bool) {
	if len(a.queue) == 0 {
		return time.Time{}, false
	}
	due := a.queue[0].due
	if due.Before(a.free) {
		due = a.free
	}
	return due, true
}

// Pop returns an announcement that is due, and false when there is none now.
func (a *Announcer) Pop(now time.Time) (Announcement, bool) {
	for {
		due, ok := a.Next()
		if !ok || due.After(now) {
			return Announcement{}, false
		}
		s := a.queue[0]
		if s.left == 0 {
			a.endRest(s, now)
			continue
		}
		first := s.left == announcements
		if first {
			s.begun = now
		}
		s.left--
		s.due = now.Add(announceAgain)
		if s.left == 0 {
			s.due = s.begun.Add(announceRest)
		}
		heap.Fix(&a.queue, 0)
		a.free = now.Add(announceGap)
		if first && s.urgent {
			a.free = now.Add(urgentGap)
		}
		return Announcement{Address: s.address, Override: s.override, First: first, Last: s.left == 0}, true
	}
}

// endRest begins the series that was asked for meanwhile, or forgets the
// address.
func (a *Announcer) endRest(s *series, now time.Time) {
	if !s.again {
		heap.Pop(&a.queue)
		delete(a.series, s.address)
		return
	}
	s.left, s.again, s.urgent, s.due, s.begun = announcements, false, false, now, now
	heap.Fix(&a.queue, 0)
}

// Defer puts an announcement that could not be sent back, and lets everything
// rest until a time: the device has no room for it.
func (a *Announcer) Defer(n Announcement, until time.Time) {
	s := a.series[n.Address]
	if s == nil {
		return
	}
	s.left++
	s.due = until
	heap.Fix(&a.queue, s.place)
	a.free = until
}
