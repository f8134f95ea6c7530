// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"hash/maphash"
	"time"
)

// multicastRate is how many answers a second may go to all nodes, and how many
// at once. Answers to duplicate address detection do; each costs every station
// of the link a look. No RFC gives the number: it is far above what any link's
// honest stations need and far below what disturbs them.
const multicastRate = 100

// bucket is a token bucket that holds a second's tokens. The zero bucket is
// full.
type bucket struct {
	level int64 // nanoseconds of refilling that were used up
	last  int64
}

// take reports whether one more may pass at the time, in nanoseconds, where rate
// may pass in a second.
func (b *bucket) take(now int64, rate int) bool { return b.takeN(now, rate, 1) }

// takeN reports whether n more may pass; else it takes nothing.
func (b *bucket) takeN(now int64, rate, n int) bool {
	cost := int64(time.Second) / int64(rate)
	if now > b.last {
		b.level = max(0, b.level-(now-b.last))
		b.last = now
	}
	if b.level+int64(n)*cost > int64(rate)*cost {
		return false
	}
	b.level += int64(n) * cost
	return true
}

// askerBuckets is how many buckets the askers of an uplink share, so that a
// flood of made-up MAC addresses costs no memory.
const askerBuckets = 4096

// askers limits the answers to each asker. Askers whose hashes are equal share a
// bucket; the seed keeps others from choosing whose.
type askers struct {
	seed    maphash.Seed
	buckets [askerBuckets]bucket
}

func newAskers() *askers { return &askers{seed: maphash.MakeSeed()} }

func (a *askers) take(mac [6]byte, now int64, rate int) bool {
	return a.buckets[maphash.Bytes(a.seed, mac[:])%askerBuckets].take(now, rate)
}
