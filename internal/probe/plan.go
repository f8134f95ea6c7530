// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// query takes a query to the devices where its target may be.
func (p *Prober) query(q ndp.Query, out *ndp.Outcome) {
	rs := p.rules()
	i := int(q.Verdict.Rule)
	if i >= len(rs) || rs[i].Method != rules.Probe || !rs[i].Prefix.Contains(q.Target) { // reloaded meanwhile
		out.Settled = append(out.Settled, q)
		return
	}
	plan := ndp.Plan{Devices: []int32{q.Verdict.Device}, Timing: rs[i].Timing}
	if names := rs[i].Devices; len(names) > 0 {
		plan.Devices, plan.Named = p.indices(names), true
	}
	plan.Devices = p.askable(plan.Devices)
	if len(plan.Devices) == 0 { // none of them is there, or has neighbors
		out.Settled = append(out.Settled, q)
		return
	}
	if p.socket == nil && p.retry.IsZero() { // the first probe rule has just come
		p.prepare()
	}
	if p.socket == nil {
		out.Refused = append(out.Refused, q)
		return
	}
	p.table.Query(q, plan, time.Now(), out)
}

// kept reports whether a target is still to be asked for in the same way.
func (p *Prober) kept(target netip.Addr, plan ndp.Plan) bool {
	best := p.ruleFor(target)
	if best == nil || best.Timing.WithDefaults() != plan.Timing || plan.Named != (len(best.Devices) > 0) {
		return false
	}
	return !plan.Named || slices.Equal(p.askable(p.indices(best.Devices)), plan.Devices)
}

// ruleFor returns the probe rule that decides for a target, nil when another rule
// does.
func (p *Prober) ruleFor(target netip.Addr) *rules.Rule {
	var best *rules.Rule
	rs := p.rules()
	for i := range rs {
		if rs[i].Prefix.Contains(target) && (best == nil || rs[i].Prefix.Bits() > best.Prefix.Bits()) {
			best = &rs[i]
		}
	}
	if best == nil || best.Method != rules.Probe {
		return nil
	}
	return best
}

// indices returns the devices of that names that are there.
func (p *Prober) indices(names []string) []int32 {
	var found []int32
	for _, name := range names {
		if index := p.config.Devices.Index(name); index != 0 {
			found = append(found, index)
		}
	}
	return found
}
