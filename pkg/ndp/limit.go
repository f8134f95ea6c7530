// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"hash/maphash"
	"time"
)

// multicastRate is how many answers a second may go to all nodes, and how many
// at once. Answers to duplicate address detection do (RFC 4861 §7.2.4); each
// costs every station of the link a look. Beyond the rate, an answer to all nodes
// leaves in a unicast frame to the asker (RFC 6085 §3): a flood disturbs nobody,
// and shuts nobody out either. No RFC gives the number: it is far above what any
// link's honest stations need and far below what disturbs them.
const multicastRate = 100

// bucket is a token bucket that holds a second's tokens. The zero bucket is
// full.
type bucket struct {
	level int64 // nanoseconds of refilling that were used up
	last  int64
}

// take reports whether one more may pass at the time, in nanoseconds, where rate
// may pass in a second.
func (b *bucket) take(now int64, rate int) bool {
	cost := int64(time.Second) / int64(rate)
	if now > b.last {
		b.level = max(0, b.level-(now-b.last))
		b.last = now
	}
	if b.level+cost > int64(rate)*cost {
		return false
	}
	b.level += cost
	return true
}

// askerBuckets is how many buckets the askers of an uplink share, so that a
// flood of made-up addresses costs no memory.
const askerBuckets = 4096

// askers limits the answers to each asker, which is an IPv6 address together with
// the link-layer address that the answers go to: anybody can forge either of
// another station, and who forges both makes that station hear the answer. For
// next hops, and for duplicate address detection, which has no source address,
// the limit is one for each target: who asks in another's name for other targets
// uses up nothing, and who asks for the same target has it answered to the right
// station.
//
// Askers whose hashes are equal share a bucket; the seed keeps others from
// choosing whose. Next hops have buckets of their own.
type askers struct {
	seed    maphash.Seed
	buckets [askerBuckets]bucket
	hops    [askerBuckets]bucket
}

func newAskers() *askers { return &askers{seed: maphash.MakeSeed()} }

// take reports whether the asker of s may have one more answer.
func (a *askers) take(s *Solicitation, hop bool, now int64, rate int) bool {
	var key [6 + 16 + 16]byte
	source := s.source.As16()
	copy(key[:], s.asker[:])
	copy(key[6:], source[:])
	buckets := &a.buckets
	if hop {
		buckets = &a.hops
	}
	if hop || s.source.IsUnspecified() {
		target := s.target.As16()
		copy(key[22:], target[:])
	}
	return buckets[maphash.Bytes(a.seed, key[:])%askerBuckets].take(now, rate)
}
