// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Counters are the figures of one uplink. They outlive its sockets, only grow,
// and may be read at any time. Every solicitation received is in the end either
// answered or ignored for one reason; a delayed one is neither while it waits.
type Counters struct {
	// Received by kind, Answered by kind, and Ignored by reason.
	Received [kindCount]atomic.Uint64
	Answered [kindCount]atomic.Uint64
	Ignored  [reasonCount]atomic.Uint64
	// ByProgram is the part of Answered that a program in the kernel has given.
	ByProgram [kindCount]atomic.Uint64
	// RecordsLost counts answers of that program for which there was no room in Recent.
	RecordsLost atomic.Uint64
	// Probes counts solicitations whose target had to be asked, by result.
	Probes [probeResults]atomic.Uint64
	// Unsolicited counts advertisements that nobody asked for.
	Unsolicited atomic.Uint64
	// Conflicts counts addresses that we answer for and of which there was a
	// sign that another station has them, and of services those that it has confirmed
	// or shares.
	Conflicts atomic.Uint64
	// SendErrors counts advertisements that the kernel did not take.
	SendErrors atomic.Uint64
	// Redirected counts solicitations that name another link-layer address
	// than their Ethernet source, as a virtual router's do.
	Redirected atomic.Uint64
	// Drops counts frames that the kernel lost because the ring was full.
	Drops atomic.Uint64
	// Duration is the time from reception by the kernel to the hand-over of
	// the answer to the kernel, without a delay that a rule asks for. Answers of
	// the kind [Presence] are not in it, nor those of a program in the kernel.
	Duration Histogram
}

func (c *Counters) ignored(r Reason) { c.Ignored[r].Add(1) }

// ProbeResult is what became of a solicitation whose target had to be asked.
type ProbeResult uint8

// The results.
const (
	// ProbeAnswered: the target answered.
	ProbeAnswered ProbeResult = iota
	// ProbeUnanswered: it did not.
	ProbeUnanswered
	// ProbeRefused: too many targets were being asked already.
	ProbeRefused

	probeResults
)

// ProbeResults lists every result.
func ProbeResults() []ProbeResult {
	return []ProbeResult{ProbeAnswered, ProbeUnanswered, ProbeRefused}
}

// String returns the result's name in metrics.
func (r ProbeResult) String() string {
	return [...]string{"answered", "unanswered", "refused"}[r]
}

func (c *Counters) refused() {
	c.Probes[ProbeRefused].Add(1)
	c.ignored(ProbeLimited)
}

func (c *Counters) answered(k Kind, nanoseconds int64) {
	c.Answered[k].Add(1)
	if k != Presence {
		c.Duration.observe(nanoseconds)
	}
}

func (c *Counters) sendFailed() {
	c.SendErrors.Add(1)
	c.ignored(SendFailed)
}

// histogramBuckets is the number of buckets with an upper bound.
const histogramBuckets = 21

// Histogram counts durations in buckets whose upper bounds double from 1 µs.
type Histogram struct {
	buckets [histogramBuckets + 1]atomic.Uint64 // the last one is unbounded
	sum     atomic.Uint64                       // nanoseconds
}

func (h *Histogram) observe(nanoseconds int64) {
	ns := uint64(max(nanoseconds, 0)) // a clock that was set back counts as 0
	i := 0
	if ns > 1000 {
		i = bits.Len64((ns - 1) / 1000)
	}
	h.buckets[min(i, histogramBuckets)].Add(1)
	h.sum.Add(ns)
}

// Snapshot returns the number and the sum of the observations, and how many
// were at most as long as each upper bound in seconds.
func (h *Histogram) Snapshot() (count uint64, sum float64, cumulative map[float64]uint64) {
	cumulative = make(map[float64]uint64, histogramBuckets)
	for i := range histogramBuckets {
		count += h.buckets[i].Load()
		cumulative[float64(uint64(1)<<i)*1e-6] = count
	}
	count += h.buckets[histogramBuckets].Load()
	return count, time.Duration(h.sum.Load()).Seconds(), cumulative //nolint:gosec // 584 years
}
