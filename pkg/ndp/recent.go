// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"
)

// recentRecords is how many solicitations an uplink remembers.
const recentRecords = 4096

// Record tells what became of one solicitation.
type Record struct {
	// At is the time of the decision.
	At time.Time
	// Target and Source are invalid where the frame was too short for them.
	Target, Source netip.Addr
	// MAC is the Ethernet source.
	MAC    [6]byte
	Kind   Kind
	Reason Reason
}

// record is a Record in the form in which many are kept.
type record struct {
	at             int64 // nanoseconds since 1970
	target, source [16]byte
	mac            [6]byte
	kind           Kind
	reason         Reason
	addresses      bool // target and source are there
}

// seal returns a Record in the form in which many are kept.
func (r Record) seal() record {
	out := record{at: r.At.UnixNano(), mac: r.MAC, kind: r.Kind, reason: r.Reason}
	if r.Target.IsValid() && r.Source.IsValid() {
		out.target, out.source, out.addresses = r.Target.As16(), r.Source.As16(), true
	}
	return out
}

func (r *record) open() Record {
	out := Record{At: time.Unix(0, r.at), MAC: r.mac, Kind: r.kind, Reason: r.reason}
	if r.addresses {
		out.Target, out.Source = netip.AddrFrom16(r.target), netip.AddrFrom16(r.source)
	}
	return out
}

// Recent holds the last records of an uplink. It outlives the uplink's sockets,
// and is safe for concurrent use; whoever writes never waits for a reader.
type Recent struct {
	mu   sync.Mutex
	ring [recentRecords]record
	next uint64 // number of the next record
}

// Add stores a record, for a [Responder] outside of this package. It returns false
// without storing any while somebody reads, so that the caller never waits.
func (r *Recent) Add(n Record) bool { return r.add([]record{n.seal()}) }

// add stores records. It returns false without storing any while somebody reads,
// so that the writer never waits; the writer tries again later.
func (r *Recent) add(records []record) bool {
	if !r.mu.TryLock() {
		return false
	}
	defer r.mu.Unlock()
	for i := range records {
		r.ring[r.next%recentRecords] = records[i]
		r.next++
	}
	return true
}

// Since returns the records from a number on, oldest first, the number to continue
// with, and how many of them have been overwritten meanwhile.
func (r *Recent) Since(number uint64) (records []Record, next, missed uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := uint64(0)
	if r.next > recentRecords {
		first = r.next - recentRecords
	}
	if number > r.next { // another uplink's number
		number = r.next
	}
	if number < first {
		missed, number = first-number, first
	}
	for ; number < r.next; number++ {
		records = append(records, r.ring[number%recentRecords].open())
	}
	return records, r.next, missed
}

// Next returns the number of the next record.
func (r *Recent) Next() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// pendingRecords are the records of a loop that Recent does not have yet.
type pendingRecords struct {
	recent *Recent
	n      int
	buf    [2 * batchSize]record
}

// add records what became of a frame. A decision about a solicitation that has
// waited comes without a frame.
func (n *pendingRecords) add(at int64, frame []byte, s *Solicitation, k Kind, r Reason) {
	if n.n == len(n.buf) && !n.flush() {
		return // a reader is slow, and the newest records are no better than the oldest
	}
	rec := &n.buf[n.n]
	*rec = record{at: at, kind: k, reason: r}
	switch {
	case r == Answered || r.valid():
		rec.target, rec.source, rec.mac, rec.addresses = s.target.As16(), s.source.As16(), s.ether, true
	case len(frame) >= offOptions && binary.BigEndian.Uint16(frame[offEtherType:]) == etherTypeIPv6:
		rec.target, rec.source = [16]byte(frame[offTarget:]), [16]byte(frame[offSource:])
		rec.mac, rec.addresses = macAt(frame, offEtherSrc), true
	case len(frame) >= offEtherType:
		rec.mac = macAt(frame, offEtherSrc)
	}
	n.n++
}

// flush stores the records in Recent, or keeps them while somebody reads.
func (n *pendingRecords) flush() bool {
	if n.n > 0 && !n.recent.add(n.buf[:n.n]) {
		return false
	}
	n.n = 0
	return true
}
