// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"hash/maphash"
	"net/netip"
	"time"
)

const (
	// sieveBits is the size of each of a sieve's two halves, 128 KiB: with
	// 20,000 additions a second one address in a thousand is taken for another.
	sieveBits = 1 << 20
	// sieveTurn is how long one half takes additions. A router's three tries
	// take two seconds (RFC 4861 §10).
	sieveTurn = 2 * time.Second
)

// sieve remembers addresses for two to four seconds in a fixed amount of memory:
// two Bloom filters that take turns. The seed keeps others from choosing what is
// taken for what.
type sieve struct {
	seed   maphash.Seed
	halves [2][]uint64 // the first one takes additions
	turned time.Time
}

// turn begins a new half when it is time, and makes the sieve usable.
func (s *sieve) turn(now time.Time) {
	switch age := now.Sub(s.turned); {
	case s.halves[0] == nil:
		s.seed = maphash.MakeSeed()
		s.halves[0], s.halves[1] = make([]uint64, sieveBits/64), make([]uint64, sieveBits/64)
	case age < sieveTurn:
		return
	case age >= 2*sieveTurn: // what the first one took in is too old as well
		clear(s.halves[0])
		fallthrough
	default:
		s.halves[0], s.halves[1] = s.halves[1], s.halves[0]
		clear(s.halves[0])
	}
	s.turned = now
}

// add takes an address in.
func (s *sieve) add(a netip.Addr, now time.Time) {
	s.turn(now)
	for _, bit := range s.bits(a) {
		s.halves[0][bit/64] |= 1 << (bit % 64)
	}
}

// has reports whether an address was added in the last two seconds, and possibly
// for one that was not.
func (s *sieve) has(a netip.Addr, now time.Time) bool {
	if s.halves[0] == nil {
		return false
	}
	s.turn(now)
	bits := s.bits(a)
	for _, half := range s.halves {
		n := 0
		for _, bit := range bits {
			n += int(half[bit/64] >> (bit % 64) & 1)
		}
		if n == len(bits) {
			return true
		}
	}
	return false
}

// bits returns where an address leaves its marks.
func (s *sieve) bits(a netip.Addr) [4]uint32 {
	b := a.As16()
	h := maphash.Bytes(s.seed, b[:])
	low, high := uint32(h), uint32(h>>32)|1 //nolint:gosec // the two halves of a hash
	var bits [4]uint32
	for i := range bits {
		bits[i] = (low + uint32(i)*high) % sieveBits
	}
	return bits
}
