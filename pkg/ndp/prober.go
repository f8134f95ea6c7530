// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"container/heap"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// probeAgain is the least time between solicitations for one target,
	// RETRANS_TIMER of RFC 4861 §10.
	probeAgain = time.Second
	// maxProbes bounds the targets that are being asked or did not answer, and
	// so the memory that a scan takes.
	maxProbes = 8192
	// maxAlive bounds the targets that have answered.
	maxAlive = 8192
	// maxWaiting bounds the solicitations that wait for one target.
	maxWaiting = 8
	// probeRate is how many solicitations are sent in a second, and at once,
	// counting those that a target will get if it does not answer.
	probeRate = 1000
)

// Prober decides which targets are asked when, and who gets an answer then. It
// sends nothing itself and is not safe for concurrent use.
type Prober struct {
	targets map[netip.Addr]*probe
	queue   schedule[*probe]
	alive   int
	limit   bucket
	epoch   time.Time // of the limit's clock
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
	device  int32 // where it answered
	waiting []Query
	sent    int       // solicitations of this round
	last    time.Time // of them
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
}

// Query takes a solicitation in.
func (p *Prober) Query(q Query, plan Plan, now time.Time, out *Outcome) {
	plan.Timing = plan.Timing.WithDefaults()
	t := p.targets[q.Target]
	if t != nil && t.state != asking && len(plan.Devices) > 0 && !slices.Equal(t.Devices, plan.Devices) {
		p.rest(t, out) // its route leads elsewhere now
	}
	switch {
	case t == nil && (len(p.targets)-p.alive >= maxProbes || len(plan.Devices) == 0 || !p.allow(now, plan.cost())):
		out.Refused = append(out.Refused, q)
	case t == nil:
		t = &probe{Plan: plan, target: q.Target, waiting: []Query{q}}
		if p.targets == nil {
			p.targets = make(map[netip.Addr]*probe)
		}
		p.targets[q.Target] = t
		heap.Push(&p.queue, t)
		p.send(t, now, out)
	case t.state == dead || t.state >= alive:
		out.Settled = append(out.Settled, q)
	case len(t.waiting) >= maxWaiting:
		out.Refused = append(out.Refused, q)
	default:
		if t.state == resting {
			t.Plan = plan
		}
		t.waiting = append(t.waiting, q)
	}
}

// cost is how many solicitations a target gets that does not answer.
func (p Plan) cost() int { return min(len(p.Devices)*(1+p.Timing.Retries), probeRate) }

// allow takes n solicitations from what a second may have.
func (p *Prober) allow(now time.Time, n int) bool {
	if p.epoch.IsZero() {
		p.epoch = now.Add(-time.Hour) // the bucket is full
	}
	return p.limit.takeN(int64(now.Sub(p.epoch)), probeRate, n)
}

// send asks for a target, and sets the time to look at it again.
func (p *Prober) send(t *probe, now time.Time, out *Outcome) {
	for _, d := range t.Devices {
		out.Ask = append(out.Ask, Solicit{Target: t.target, Device: d})
	}
	t.sent++
	t.last = now
	t.due = now.Add(max(t.Timing.Timeout, probeAgain))
	if t.sent > t.Timing.Retries { // the last one
		t.due = now.Add(t.Timing.Timeout)
	}
	heap.Fix(&p.queue, t.place)
}

// Answer takes in that a target has answered on a device, us or the kernel.
func (p *Prober) Answer(target netip.Addr, device int32, now time.Time, out *Outcome) {
	t := p.targets[target]
	if t == nil || !slices.Contains(t.Devices, device) {
		return
	}
	if t.state < alive {
		if p.alive >= maxAlive {
			p.evict(out)
		}
		p.alive++
	}
	if t.state < alive || t.device != device {
		out.Learned = append(out.Learned, rules.Entry{
			Prefix: netip.PrefixFrom(target, target.BitLen()), Behind: true, Neighbor: true, Device: device, Since: now,
		})
	}
	out.Settled = append(out.Settled, t.waiting...)
	t.state, t.device, t.waiting, t.sent = alive, device, nil, 0
	t.due = now.Add(t.Timing.TTL)
	heap.Fix(&p.queue, t.place)
}

// evict forgets the living target that would be asked again first.
func (p *Prober) evict(out *Outcome) {
	var oldest *probe
	for _, t := range p.targets {
		if t.state >= alive && (oldest == nil || t.due.Before(oldest.due)) {
			oldest = t
		}
	}
	if oldest != nil {
		p.forget(oldest, out)
	}
}

// forget takes a target out.
func (p *Prober) forget(t *probe, out *Outcome) {
	if t.state >= alive {
		p.alive--
		out.Lost = append(out.Lost, t.target)
	}
	out.Settled = append(out.Settled, t.waiting...)
	heap.Remove(&p.queue, t.place)
	delete(p.targets, t.target)
}

// Doubt asks a living target again at once, as when the kernel could not reach
// it.
func (p *Prober) Doubt(target netip.Addr, now time.Time, out *Outcome) {
	if t := p.targets[target]; t != nil && t.state == alive && now.Sub(t.last) >= probeAgain {
		t.state = aging
		p.send(t, now, out)
	}
}

// rest drops what was found out about a target, but not when it was asked: the
// next solicitation waits until it may be asked again.
func (p *Prober) rest(t *probe, out *Outcome) {
	if t.state >= alive {
		p.alive--
		out.Lost = append(out.Lost, t.target)
	}
	t.state, t.sent, t.due = resting, 0, t.last.Add(probeAgain)
	heap.Fix(&p.queue, t.place)
}

// Changed drops what was found out about addresses whose route changed: a missing
// answer no longer counts, and a present one may be of another device. all is for
// every address. Targets on devices that rules name have nothing to do with
// routes.
func (p *Prober) Changed(prefixes []netip.Prefix, all bool, out *Outcome) {
	if len(p.targets) == 0 {
		return
	}
	for _, prefix := range prefixes {
		if t := p.targets[prefix.Addr()]; t != nil && prefix.IsSingleIP() && !t.Named {
			p.rest(t, out)
		}
	}
	wide := slices.DeleteFunc(slices.Clone(prefixes), netip.Prefix.IsSingleIP)
	if !all && len(wide) == 0 {
		return
	}
	for a, t := range p.targets {
		if !t.Named && (all || slices.ContainsFunc(wide, func(w netip.Prefix) bool { return w.Contains(a) })) {
			p.rest(t, out)
		}
	}
}

// Keep forgets the targets for which keep returns false, as when their rule is
// gone.
func (p *Prober) Keep(keep func(netip.Addr, Plan) bool, out *Outcome) {
	for a, t := range p.targets {
		if !keep(a, t.Plan) {
			p.forget(t, out)
		}
	}
}

// DeviceGone forgets what was to be asked, or was found out, on a device.
func (p *Prober) DeviceGone(index int32, out *Outcome) {
	p.Keep(func(_ netip.Addr, plan Plan) bool { return !slices.Contains(plan.Devices, index) }, out)
}

// Next returns when Due has something to do, and false for never.
func (p *Prober) Next() (time.Time, bool) {
	if len(p.queue) == 0 {
		return time.Time{}, false
	}
	return p.queue[0].due, true
}

// Due does what is due.
func (p *Prober) Due(now time.Time, out *Outcome) {
	for len(p.queue) > 0 && !p.queue[0].due.After(now) {
		t := p.queue[0]
		switch {
		case t.state == dead, t.state == resting && len(t.waiting) == 0:
			p.forget(t, out)
		case (t.state == resting || t.state == alive) && !p.allow(now, t.cost()):
			t.due = now.Add(probeAgain / 10)
			heap.Fix(&p.queue, t.place)
		case t.state == resting:
			t.state = asking
			p.send(t, now, out)
		case t.state == alive:
			t.state, t.sent = aging, 0
			p.send(t, now, out)
		case t.sent <= t.Timing.Retries:
			p.send(t, now, out)
		default:
			p.bury(t, out)
		}
	}
}

// bury notes that a target has not answered.
func (p *Prober) bury(t *probe, out *Outcome) {
	if t.state == aging {
		p.alive--
		out.Lost = append(out.Lost, t.target)
	}
	out.Settled = append(out.Settled, t.waiting...)
	t.state, t.waiting = dead, nil
	t.due = t.last.Add(max(t.Timing.Timeout+t.Timing.Deadtime, probeAgain))
	heap.Fix(&p.queue, t.place)
}
