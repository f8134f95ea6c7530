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

// Answer takes in that a target has answered on a device. proxy is true for an answer
// that may be another proxy's: one without the Override flag (RFC 4861 §7.2.8).
func (p *Prober) Answer(target netip.Addr, device int32, proxy bool, now time.Time, out *Outcome) {
	t := p.targets[target]
	switch {
	case t == nil:
	case slices.Contains(t.Links, device):
		p.answerOnLink(t, proxy, now, out)
	case !slices.Contains(t.Devices, device), t.ceded:
	case len(t.Links) == 0:
		p.learn(t, device, now, out)
	case t.state == resting: // whose links were not asked
	case now.Before(t.last.Add(claimWindow)) && t.state < alive:
		t.heard, t.due = device, t.last.Add(claimWindow)
		heap.Fix(&p.queue, t.place)
	default:
		p.learn(t, device, now, out)
	}
}

// answerOnLink takes in that somebody has answered on an uplink's link. It counts only
// after a question of ours: what comes at another time is a sign for [Claims], which
// find out whether it is true. What lives behind us is not left to another proxy.
func (p *Prober) answerOnLink(t *probe, proxy bool, now time.Time, out *Outcome) {
	if t.state == resting || now.Sub(t.last) >= claimLate || proxy && !t.Host {
		return
	}
	if t.state >= alive {
		p.alive--
		p.unlearn(t, out)
		out.Lost = append(out.Lost, t.target)
	}
	out.Settled = append(out.Settled, t.waiting...)
	t.state, t.ceded, t.heard, t.waiting = dead, true, 0, nil
	t.due = now.Add(t.Timing.TTL)
	heap.Fix(&p.queue, t.place)
}

// learn makes a target alive that has answered on a device or, with 0, that the host
// itself has.
func (p *Prober) learn(t *probe, device int32, now time.Time, out *Outcome) {
	if t.state < alive {
		if p.alive >= maxAlive {
			p.evict(out)
		}
		p.alive++
		p.favor(t)
	}
	if t.state < alive || t.device != device {
		out.Learned = append(out.Learned, rules.Entry{
			Prefix: netip.PrefixFrom(t.target, t.target.BitLen()), Behind: !t.Host, Neighbor: !t.Host, Host: t.Host, Device: device, Since: now,
		})
	}
	out.Settled = append(out.Settled, t.waiting...)
	t.state, t.device, t.heard, t.ceded, t.waiting, t.sent = alive, device, 0, false, nil, 0
	t.due = now.Add(t.Timing.TTL)
	heap.Fix(&p.queue, t.place)
}

// unlearn takes out of the outcome what was learned of a target a moment ago: Learned
// is published after Lost.
func (p *Prober) unlearn(t *probe, out *Outcome) {
	out.Learned = slices.DeleteFunc(out.Learned, func(e rules.Entry) bool { return e.Prefix.Addr() == t.target })
}

// Forget forgets what was found out about a target.
func (p *Prober) Forget(target netip.Addr, out *Outcome) {
	if t := p.targets[target]; t != nil {
		p.forget(t, out)
	}
}

// NotAsked says that a solicitation could not be sent on a device. Nobody's silence
// tells anything then.
func (p *Prober) NotAsked(s Solicit) {
	if t := p.targets[s.Target]; t != nil && slices.Contains(t.Links, s.Device) {
		t.unsent = true
	}
}

// evict forgets the living target that would be asked again first.
func (p *Prober) evict(out *Outcome) {
	var oldest *probe
	for _, t := range p.targets {
		if t.state >= alive && (oldest == nil || t.Host && !oldest.Host || t.Host == oldest.Host && t.due.Before(oldest.due)) {
			oldest = t
		}
	}
	if oldest == nil {
		return
	}
	p.unlearn(oldest, out) // it may have answered a moment ago
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
	t.state, t.sent, t.heard, t.ceded, t.unsent, t.due = resting, 0, 0, false, false, t.last.Add(probeAgain)
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
	p.Keep(func(_ netip.Addr, plan Plan) bool {
		return !slices.Contains(plan.Devices, index) && !slices.Contains(plan.Links, index)
	}, out)
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
		case t.heard != 0:
			p.learn(t, t.heard, now, out)
		case t.state == dead, t.state == resting && len(t.waiting) == 0:
			p.forget(t, out)
		case t.sent > t.Timing.Retries && t.state != alive && t.Host && !t.unsent:
			p.learn(t, 0, now, out)
		case t.sent > t.Timing.Retries && t.state != alive:
			p.bury(t, out)
		case p.allow(t.Plan, t.favored, now):
			p.advance(t)
			p.send(t, now, out)
		case t.state == asking: // left out like a frame that got lost
			t.unsent = true
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
		t.state, t.sent, t.unsent = aging, 0, false
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
