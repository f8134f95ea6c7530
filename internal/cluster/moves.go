// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"time"
)

const (
	// movesWindow is how long a move of an address counts, and movesSlots in how many
	// parts it is forgotten.
	movesWindow = 30 * time.Minute
	movesSlots  = 6
	// unstableMoves is how many moves in the window an address may make: each rollout
	// and each restart of its owner takes two, so three in half an hour are no alarm. A
	// daemon that ends again and again causes more, even where its restarts are put off
	// by five minutes, as a kubelet does.
	unstableMoves = 6
)

// moves counts for each service address how often its owner has changed lately. The
// number of all changes would not do: of many nodes a single one that comes and goes
// moves a small part of the addresses only. It is guarded by the Manager's lock.
type moves map[netip.Addr]*recentMoves

// recentMoves are the moves of one address in each slot of the window.
type recentMoves struct {
	slot  int64 // number of the latest slot, since 1970
	count [movesSlots]uint16
}

// slotAt returns the number of the slot that a time is in.
func slotAt(t time.Time) int64 { return t.UnixNano() / int64(movesWindow/movesSlots) }

// advance forgets what is older than the window, and reports whether anything is left.
func (r *recentMoves) advance(slot int64) bool {
	for step := int64(0); r.slot < slot; r.slot++ {
		if step++; step > movesSlots { // all of it is too old
			r.slot = slot
			break
		}
		r.count[(r.slot+1)%movesSlots] = 0
	}
	return r.count != [movesSlots]uint16{}
}

// add notes that an address has another owner.
func (m moves) add(a netip.Addr, now time.Time) {
	r := m[a]
	if r == nil {
		r = &recentMoves{slot: slotAt(now)}
		m[a] = r
	}
	r.advance(slotAt(now))
	if n := &r.count[r.slot%movesSlots]; *n < 1<<15 {
		*n++
	}
}

// unstable returns how many addresses have moved too often, and forgets those that
// have not moved lately.
func (m moves) unstable(now time.Time) (n int) {
	for a, r := range m {
		if !r.advance(slotAt(now)) {
			delete(m, a)
			continue
		}
		sum := 0
		for _, c := range r.count {
			sum += int(c)
		}
		if sum > unstableMoves {
			n++
		}
	}
	return n
}
