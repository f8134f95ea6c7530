// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"container/heap"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Answer takes in that a target has answered on a device, either to us or to the
// kernel.
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
		p.favor(t)
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
	if oldest == nil {
		return
	}
	// It may have answered a moment ago. Learned is published after Lost.
	out.Learned = slices.DeleteFunc(out.Learned, func(e rules.Entry) bool { return e.Prefix.Addr() == oldest.target })
	p.forget(oldest, out)
}

// forget takes a target out.
func (p *Prober) forget(t *probe, out *Outcome) {
	if t.state >= alive {
		p.alive--
		out.Lost = append(out.Lost, t.target)
	}
	if !t.favored {
		p.fresh--
	}
	out.Settled = append(out.Settled, t.waiting...)
	heap.Remove(&p.queue, t.place)
	delete(p.targets, t.target)
}

// Doubt asks a living target again at once, as when the kernel could not reach
// it.
func (p *Prober) Doubt(target netip.Addr, now time.Time, out *Outcome) {
	if t := p.targets[target]; t != nil && t.state == alive && now.Sub(t.last) >= probeAgain && p.allow(t.Plan, t.favored, now) {
		t.state = aging
		p.send(t, now, out)
	}
}

// rest drops what was found out about a target, but not the time at which it was
// asked: the next solicitation waits until it may be asked again.
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

// DeviceGone forgets the targets that were asked or found on a device.
func (p *Prober) DeviceGone(index int32, out *Outcome) {
	maps.DeleteFunc(p.primed, func(_ netip.Addr, device int32) bool { return device == index })
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
		case t.sent > t.Timing.Retries && t.state != alive:
			p.bury(t, out)
		case p.allow(t.Plan, t.favored, now):
			p.advance(t)
			p.send(t, now, out)
		case t.state == asking: // left out like a frame that got lost
			p.sent(t, now)
		default:
			t.due = now.Add(probeAgain / 10)
			heap.Fix(&p.queue, t.place)
		}
	}
}

// advance moves a target on that is about to be asked.
func (p *Prober) advance(t *probe) {
	switch t.state {
	case resting:
		t.state = asking
	case alive:
		t.state, t.sent = aging, 0
	case asking, aging, dead:
	}
}

// bury records that a target has not answered.
func (p *Prober) bury(t *probe, out *Outcome) {
	if t.state == aging {
		p.alive--
		out.Lost = append(out.Lost, t.target)
	}
	delete(p.primed, t.target)
	out.Settled = append(out.Settled, t.waiting...)
	t.state, t.waiting = dead, nil
	t.due = t.last.Add(max(t.Timing.Timeout+t.Timing.Deadtime, probeAgain))
	heap.Fix(&p.queue, t.place)
}
