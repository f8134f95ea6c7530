// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"container/heap"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// probeAgain is the least time between solicitations for one target,
	// RETRANS_TIMER of RFC 4861 §10.
	probeAgain = time.Second
	// maxProbes bounds the targets that are being asked or did not answer, and
	// so the memory that a scan takes. maxFresh of them may be targets that were
	// asked for once only.
	maxProbes = 8192
	maxFresh  = maxProbes * 3 / 4
	// maxAlive bounds the targets that have answered, and those that the kernel
	// is known to have as neighbors.
	maxAlive = 8192
	// maxWaiting bounds the solicitations that wait for one target.
	maxWaiting = 8
	// probeRate is how many solicitations are sent in a second, and at once.
	probeRate = 1000
	// hostRound is the grain of the times at which targets that the host itself has
	// are learned. Each address of a scan is one of these, and a publication for each
	// of them would cost more than the questions do.
	hostRound = 50 * time.Millisecond
	// probeReserve is how many of these only favored targets may use. It fills
	// up again before the others get any.
	probeReserve = probeRate / 2
)

// Prober decides which targets are asked when, and who gets an answer then. It
// sends nothing itself and is not safe for concurrent use.
//
// A solicitation is charged against the rate when it leaves. Some targets are
// favored, so that a scan does not shut them out: those that have answered, those
// that the kernel has as neighbors ([Prober.Prime]), and those that are asked for
// again. A router repeats a solicitation after a second, twice (RFC 4861 §7.2.2);
// a scanner asks for each address once.
type Prober struct {
	targets map[netip.Addr]*probe
	queue   schedule[*probe]
	alive   int // targets that have answered
	fresh   int // targets that are not favored
	limit   *rate.Limiter
	primed  map[netip.Addr]int32 // neighbors of the kernel, by their device
	refused sieve                // targets for which there was no room a moment ago
}

// probeState is what is known of a target.
type probeState uint8

const (
	asking  probeState = iota // nothing yet
	resting                   // nothing any more, and it was asked a moment ago
	dead                      // it did not answer
	alive                     // it has answered
	aging                     // it has answered, and is asked again
)

// probe is one target.
type probe struct {
	Plan
	target  netip.Addr
	state   probeState
	favored bool
	ceded   bool  // dead because a station on one of the links has it
	unsent  bool  // a solicitation of this round did not reach a link
	heard   int32 // where it has answered, while the links still have time to; 0 for nowhere
	device  int32 // where it answered
	waiting []Query
	sent    int       // solicitations of this round, also those that had to be left out
	last    time.Time // when one left
	due     time.Time
	place   int
}

func (t *probe) dueAt() time.Time { return t.due }
func (t *probe) setPlace(i int)   { t.place = i }

// Outcome is what has to be done after something happened.
type Outcome struct {
	// Ask are solicitations to send, by target and device.
	Ask []Solicit
	// Learned and Lost are what is known of targets from now on. It has to be
	// published before the queries are settled.
	Learned []rules.Entry
	Lost    []netip.Addr
	// Settled are queries that wait no longer, Refused those without room.
	Settled, Refused []Query
}

// Solicit is one solicitation to send.
type Solicit struct {
	Target netip.Addr
	Device int32
}

// Plan is how to ask for a target.
type Plan struct {
	// Devices are where it may be.
	Devices []int32
	// Named is true when the rule names them, and false when the kernel's
	// route leads there.
	Named  bool
	Timing rules.Timing
	// Links are the uplinks on whose links another station may have the target. They
	// are asked as well, and whoever answers there keeps the target.
	Links []int32
	// Host is true where the host itself takes packets for the target. There are no
	// Devices then, and the target counts as alive when nobody on the Links answers.
	Host bool
}

// asks returns how many solicitations ask for the target once.
func (p Plan) asks() int { return len(p.Devices) + len(p.Links) }

// samePlaces reports whether two plans look for the target in the same way.
func (p Plan) samePlaces(o Plan) bool {
	return p.Host == o.Host && slices.Equal(p.Devices, o.Devices) && slices.Equal(p.Links, o.Links)
}

// Query takes a solicitation in.
func (p *Prober) Query(q Query, plan Plan, now time.Time, out *Outcome) {
	plan.Timing = plan.Timing.WithDefaults()
	t := p.targets[q.Target]
	if t != nil && t.state != asking && plan.asks() > 0 && !t.samePlaces(plan) {
		p.rest(t, out) // its route leads elsewhere now
	}
	switch {
	case t == nil:
		p.begin(q, plan, now, out)
	case t.state == dead || t.state >= alive:
		out.Settled = append(out.Settled, q)
	case len(t.waiting) >= maxWaiting:
		out.Refused = append(out.Refused, q)
	default:
		if t.state == resting {
			t.Plan = plan
		}
		t.waiting = append(t.waiting, q)
		p.favor(t)
		if t.state == asking && t.sent <= t.Timing.Retries && now.Sub(t.last) >= probeAgain && p.allow(t.Plan, t.favored, now) {
			p.send(t, now, out)
		}
	}
}

// begin asks for a target that nothing is known of, or refuses.
func (p *Prober) begin(q Query, plan Plan, now time.Time, out *Outcome) {
	device, primed := p.primed[q.Target]
	favored := primed && slices.Contains(plan.Devices, device) || p.refused.has(q.Target, now)
	if plan.asks() == 0 || len(p.targets)-p.alive >= maxProbes ||
		!favored && p.fresh >= maxFresh || !p.allow(plan, favored, now) {
		out.Refused = append(out.Refused, q)
		p.refused.add(q.Target, now)
		return
	}
	if p.targets == nil {
		p.targets = make(map[netip.Addr]*probe)
	}
	if !favored {
		p.fresh++
	}
	t := &probe{Plan: plan, target: q.Target, favored: favored, waiting: []Query{q}}
	p.targets[q.Target] = t
	heap.Push(&p.queue, t)
	p.send(t, now, out)
}

// favor lets a target use the reserve from now on.
func (p *Prober) favor(t *probe) {
	if !t.favored {
		t.favored = true
		p.fresh--
	}
}

// Prime tells that the kernel has a target as a neighbor on a device, as its
// table does at the start. The target is not answered for without being asked,
// but it is asked before those of which nothing is known.
func (p *Prober) Prime(target netip.Addr, device int32) {
	if p.primed == nil {
		p.primed = make(map[netip.Addr]int32)
	}
	if _, known := p.primed[target]; known || len(p.primed) < maxAlive {
		p.primed[target] = device
	}
}

// allow takes what asking for a target once costs out of the rate, and returns
// false when that does not suffice.
func (p *Prober) allow(plan Plan, favored bool, now time.Time) bool {
	if p.limit == nil {
		p.limit = rate.NewLimiter(probeRate, probeRate)
	}
	n := min(plan.asks(), probeReserve)
	if !favored && p.limit.TokensAt(now) < float64(probeReserve+n) {
		return false
	}
	return p.limit.AllowN(now, n)
}

// send asks for a target, and sets the time to look at it again.
func (p *Prober) send(t *probe, now time.Time, out *Outcome) {
	for _, d := range t.Devices {
		out.Ask = append(out.Ask, Solicit{Target: t.target, Device: d})
	}
	for _, d := range t.Links {
		out.Ask = append(out.Ask, Solicit{Target: t.target, Device: d})
	}
	t.last = now
	p.sent(t, now)
}

// sent counts a solicitation for a target, and sets the time to look at it again.
func (p *Prober) sent(t *probe, now time.Time) {
	t.sent++
	t.due = now.Add(max(t.Timing.Timeout, probeAgain))
	if t.sent > t.Timing.Retries { // the last one
		t.due = now.Add(t.Timing.Timeout)
		if t.Host {
			t.due = t.due.Truncate(hostRound).Add(hostRound)
		}
	}
	heap.Fix(&p.queue, t.place)
}
