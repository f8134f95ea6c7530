// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// queryQueue is how many solicitations may wait until the prober looks at them.
const queryQueue = 512

// prober asks for the targets of probe rules. Its goroutine owns the table; the
// listeners, the watcher and the probe socket send to it.
type prober struct {
	owner   *supervisor
	queries chan ndp.Query
	news    chan probeNews
	table   ndp.Prober
	socket  *ndp.ProbeSocket         // nil without a probe rule
	ended   chan error               // how its Run ended
	devices map[int32]*ndp.Interface // those asked on, until they change
	wires   map[netip.Addr]int32     // host routes of autowire, with their devices
}

// probeNews is something that happened elsewhere.
type probeNews struct {
	answer   netip.Addr // the target has answered on device
	doubt    netip.Addr // the kernel could not reach it
	device   int32
	prefixes []netip.Prefix // their routes changed
	all      bool           // or all may have
	link     bool           // the device changed
	rules    bool           // the rules changed
}

func newProber(owner *supervisor) *prober {
	return &prober{
		owner: owner, queries: make(chan ndp.Query, queryQueue), news: make(chan probeNews, eventQueue),
		devices: make(map[int32]*ndp.Interface), wires: make(map[netip.Addr]int32),
	}
}

// ask takes a query of a listener, and returns false when too many wait.
func (p *prober) ask(q ndp.Query) bool {
	select {
	case p.queries <- q:
		return true
	default:
		return false
	}
}

// tell hands news over. Without a probe rule there is nobody who wants them.
func (p *prober) tell(n probeNews) {
	if !p.owner.probes.Load() && !n.rules {
		return
	}
	select {
	case p.news <- n:
	case <-p.owner.done:
	}
}

// neighbor hands over what the kernel found out.
func (p *prober) neighbor(n hostwatch.Neighbor) {
	switch {
	case n.Alive:
		p.tell(probeNews{answer: n.Address, device: int32(n.Index)}) //nolint:gosec // an index
	case n.Failed:
		p.tell(probeNews{doubt: n.Address})
	}
}

// run asks until ctx ends.
func (p *prober) run(ctx context.Context) error {
	defer p.unwireAll()
	defer p.closeSocket()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if due, ok := p.table.Next(); ok {
			timer.Reset(max(0, time.Until(due)))
		} else {
			timer.Stop()
		}
		var out ndp.Outcome
		select {
		case <-ctx.Done():
			return nil
		case err := <-p.ended:
			return err
		case q := <-p.queries:
			p.query(q, &out)
		case n := <-p.news:
			if n.rules {
				p.owner.fault("probe", p.useSocket(p.owner.probes.Load()))
			}
			p.learn(n, &out)
		case <-timer.C:
			p.table.Due(time.Now(), &out)
		}
		p.do(&out)
	}
}

// useSocket opens the probe socket for the first probe rule, and closes it after
// the last: while it is open it costs something.
func (p *prober) useSocket(needed bool) error {
	switch {
	case !needed:
		p.closeSocket()
		return nil
	case p.socket != nil:
		return nil
	}
	socket, err := ndp.OpenProbeSocket()
	if err != nil {
		return err
	}
	p.socket, p.ended = socket, make(chan error, 1)
	go func(ended chan<- error) {
		ended <- socket.Run(func(target netip.Addr, device int) {
			p.tell(probeNews{answer: target, device: int32(device)}) //nolint:gosec // an index
		})
	}(p.ended)
	return nil
}

func (p *prober) closeSocket() {
	if p.socket != nil {
		p.owner.fault("probe", p.socket.Close())
		p.socket, p.ended = nil, nil
	}
}

// query takes a query to the devices where its target may be.
func (p *prober) query(q ndp.Query, out *ndp.Outcome) {
	rs := p.owner.store.Load().Rules()
	i := int(q.Verdict.Rule)
	if i >= len(rs) || rs[i].Method != rules.Probe { // reloaded meanwhile
		out.Settled = append(out.Settled, q)
		return
	}
	plan := ndp.Plan{Devices: []int32{q.Verdict.Device}, Timing: rs[i].Timing}
	if names := rs[i].Devices; len(names) > 0 {
		plan.Devices, plan.Named = p.indices(names), true
	}
	if len(plan.Devices) == 0 { // none of them is there
		out.Settled = append(out.Settled, q)
		return
	}
	p.table.Query(q, plan, time.Now(), out)
}

// learn takes news in.
func (p *prober) learn(n probeNews, out *ndp.Outcome) {
	switch {
	case n.answer.IsValid():
		p.table.Answer(n.answer, n.device, time.Now(), out)
	case n.doubt.IsValid():
		p.table.Doubt(n.doubt, time.Now(), out)
	case n.link:
		p.deviceChanged(n.device, out)
	case n.rules:
		clear(p.devices) // they were not followed without a probe rule
		p.table.Keep(p.kept, out)
	default:
		p.table.Changed(n.prefixes, n.all, out)
	}
}

// deviceChanged reads a device again when it is next asked on; 0 is any.
func (p *prober) deviceChanged(index int32, out *ndp.Outcome) {
	if index == 0 {
		clear(p.devices)
		return
	}
	delete(p.devices, index)
	if !p.owner.routes.Has(index) {
		p.table.DeviceGone(index, out)
		return
	}
	p.rewire(index)
}

// kept reports whether a target is still to be asked for in the same way.
func (p *prober) kept(target netip.Addr, plan ndp.Plan) bool {
	var best *rules.Rule
	rs := p.owner.store.Load().Rules()
	for i := range rs {
		if rs[i].Prefix.Contains(target) && (best == nil || rs[i].Prefix.Bits() > best.Prefix.Bits()) {
			best = &rs[i]
		}
	}
	if best == nil || best.Method != rules.Probe || best.Timing.WithDefaults() != plan.Timing || plan.Named != (len(best.Devices) > 0) {
		return false
	}
	return !plan.Named || slices.Equal(p.indices(best.Devices), plan.Devices)
}

// indices returns the devices of that names that are there.
func (p *prober) indices(names []string) []int32 {
	var found []int32
	for _, name := range names {
		if index := p.owner.routes.Index(name); index != 0 {
			found = append(found, index)
		}
	}
	return found
}

// do publishes what was learned, then settles, then asks.
func (p *prober) do(out *ndp.Outcome) {
	changes := make([]rules.EntryChange, 0, len(out.Learned)+len(out.Lost))
	for _, a := range out.Lost {
		p.unwire(a)
		changes = append(changes, rules.EntryChange{Entry: rules.Entry{Prefix: netip.PrefixFrom(a, a.BitLen())}, Gone: true})
	}
	for _, e := range out.Learned {
		p.wire(e)
		changes = append(changes, rules.EntryChange{Entry: e})
	}
	if len(changes) > 0 {
		p.owner.mu.Lock()
		p.owner.store.Update(rules.Probed, changes)
		p.owner.mu.Unlock()
	}
	table := p.owner.store.Load()
	for i := range out.Settled {
		out.Settled[i].Settle(table.View(out.Settled[i].Uplink))
	}
	for i := range out.Refused {
		out.Refused[i].Refuse()
	}
	for _, a := range out.Ask {
		p.owner.fault("probe", p.send(a))
	}
}

// send asks for one target on one device.
func (p *prober) send(a ndp.Solicit) error {
	if p.socket == nil { // the last probe rule has just gone, or the first has just come
		if err := p.useSocket(p.owner.probes.Load()); err != nil || p.socket == nil {
			return err
		}
	}
	device := p.devices[a.Device]
	if device == nil {
		link, err := hostwatch.ReadLink("", int(a.Device))
		if err != nil {
			return err
		}
		device = ndp.NewInterface(link, rules.Uplink{Source: rules.SourceLinkLocal})
		p.devices[a.Device] = device
	}
	return p.socket.Send(device, a.Target)
}
