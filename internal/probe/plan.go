// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// hostTiming is how the links are asked for a target that the host itself takes packets
// for: twice, a second apart (RFC 4861 §10), so that one frame that gets lost does not
// cost a station its address. It is a fixed point of [rules.Timing.WithDefaults].
func hostTiming() rules.Timing { return rules.Timing{Retries: 1}.WithDefaults() }

// query takes a query to the devices where its target may be.
func (p *Prober) query(q ndp.Query, out *ndp.Outcome) {
	rs := p.rules()
	i := int(q.Verdict.Rule)
	if i >= len(rs) || rs[i].Waiting || !rs[i].Prefix.Contains(q.Target) || rs[i].Method != rules.Probe && !q.Verdict.Contested { // reloaded meanwhile
		out.Settled = append(out.Settled, q)
		return
	}
	if q.Verdict.Host && q.Verdict.Learned { // a newcomer begins to use it
		p.table.Forget(q.Target, out)
		out.Settled = append(out.Settled, q)
		return
	}
	plan := p.plan(&rs[i], q)
	if len(plan.Devices) == 0 && (!plan.Host || len(plan.Links) == 0) { // none of them is there, or has neighbors
		out.Settled = append(out.Settled, q)
		return
	}
	if p.socket == nil && p.retry.IsZero() { // the first query of all may come before the mail
		p.active.Store(p.needed(p.config.Store.Load()))
		p.prepare()
	}
	if p.socket == nil {
		out.Refused = append(out.Refused, q)
		return
	}
	p.table.Query(q, plan, time.Now(), out)
}

// plan says how the target of a query is looked for.
func (p *Prober) plan(r *rules.Rule, q ndp.Query) ndp.Plan {
	plan := ndp.Plan{Timing: r.Timing}
	switch {
	case q.Verdict.Host:
		plan.Host, plan.Timing = true, hostTiming()
	case named(r):
		plan.Devices, plan.Named = p.askable(p.indices(r.Devices)), true
	default:
		plan.Devices = p.askable([]int32{q.Verdict.Device})
	}
	if q.Verdict.Contested {
		plan.Links = p.links(q.Target, plan.Devices)
	}
	return plan
}

// named reports whether the rule says where its targets are looked for.
func named(r *rules.Rule) bool { return r.Method == rules.Probe && len(r.Devices) > 0 }

// links returns the uplinks on whose links another station may have a target. An uplink
// that a rule names as a device, to be asked for another uplink, is none of them.
func (p *Prober) links(target netip.Addr, devices []int32) []int32 {
	all := p.askable(p.indices(p.config.Store.Load().Links(target)))
	return slices.DeleteFunc(all, func(index int32) bool { return slices.Contains(devices, index) })
}

// kept reports whether a target is still to be asked for in the same way.
func (p *Prober) kept(target netip.Addr, plan ndp.Plan) bool {
	best, contested := p.ruleFor(target), plan.Host || len(plan.Links) > 0
	if best == nil || best.Method == rules.Route && !contested {
		return false
	}
	timing := best.Timing.WithDefaults()
	if plan.Host {
		timing = hostTiming()
	}
	if timing != plan.Timing || plan.Named != named(best) && !plan.Host || contested && !slices.Equal(p.links(target, plan.Devices), plan.Links) {
		return false
	}
	return !plan.Named || slices.Equal(p.askable(p.indices(best.Devices)), plan.Devices)
}

// ruleFor returns the rule that decides for a target, nil when that rule asks nobody,
// or waits for its conditions.
func (p *Prober) ruleFor(target netip.Addr) *rules.Rule {
	var best *rules.Rule
	rs := p.rules()
	for i := range rs {
		if rs[i].Prefix.Contains(target) && (best == nil || rs[i].Prefix.Bits() > best.Prefix.Bits()) {
			best = &rs[i]
		}
	}
	if best == nil || best.Waiting || best.Method != rules.Probe && best.Method != rules.Route {
		return nil
	}
	return best
}

// indices returns the devices of these names that are there.
func (p *Prober) indices(names []string) []int32 {
	var found []int32
	for _, name := range names {
		if index := p.config.Devices.Index(name); index != 0 {
			found = append(found, index)
		}
	}
	return found
}
