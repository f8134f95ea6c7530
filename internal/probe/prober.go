// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/task"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// queryQueue is how many solicitations may wait until the task looks at them.
const queryQueue = 512

// Prober asks for the targets of probe rules. It is a [task.Task].
type Prober struct {
	config  Config
	queries chan ndp.Query
	mail    *mailbox
	active  atomic.Bool // something may have to be asked

	mu    sync.Mutex
	ready bool
	fault error // why the socket is not open

	// Settling and priming, for the tests.
	settleQuery func(*ndp.Query)
	refuseQuery func(*ndp.Query)
	prime       func(target netip.Addr, device int32)

	// The rest belongs to Run.
	table   ndp.Prober
	faults  *faults
	devices map[int32]device // read, until they change
	wires   autowire

	socket  Socket     // nil without a probe rule, and after an error
	ended   chan error // how the socket's Run ended
	opened  time.Time
	primed  bool // the neighbor table was read since the first probe rule came
	backoff task.Backoff
	retry   time.Time // when to open the socket again; zero for no need
}

// New returns a Prober that does nothing before Run.
func New(c Config) *Prober {
	p := &Prober{
		config: c, queries: make(chan ndp.Query, queryQueue), mail: newMailbox(),
		faults: &faults{log: c.Log}, devices: make(map[int32]device),
	}
	p.wires = autowire{kernel: c.Wires, devices: c.Devices, faults: p.faults, ours: make(map[netip.Addr]hostwatch.HostRoute)}
	c.Store.Follow(p.follow)
	p.settleQuery, p.refuseQuery, p.prime = p.settle, (*ndp.Query).Refuse, p.table.Prime
	return p
}

// String names the task.
func (p *Prober) String() string { return "prober" }

// Ready returns nil once targets can be asked, or need not be.
func (p *Prober) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ready:
		return nil
	case p.fault != nil:
		return fmt.Errorf("the probe socket: %w", p.fault)
	}
	return errors.New("a first look at the rules")
}

// Fault returns why no target can be asked at the moment, nil when that is
// possible or not needed.
func (p *Prober) Fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault
}

// Ask takes a query of a listener, and returns false when too many wait.
func (p *Prober) Ask(q ndp.Query) bool {
	select {
	case p.queries <- q:
		return true
	default:
		return false
	}
}

// RulesChanged makes the Prober look at the rules of the store.
func (p *Prober) RulesChanged() {
	p.active.Store(p.needed(p.config.Store.Load()))
	p.mail.put(func(e *events) { e.rules = true })
}

// follow makes the Prober look at the rules as well when a table is published by which
// anything has to be asked for the first time, or nothing any more, and when other
// links have to be asked.
func (p *Prober) follow(c rules.Change) {
	if p.needed(c.After) != p.active.Load() || !c.After.SameOnLink(c.Before) {
		p.active.Store(p.needed(c.After))
		p.mail.put(func(e *events) { e.rules = true })
	}
}

// needed reports whether targets may have to be asked: by a probe rule, or because a
// route is no more specific than the link of an uplink.
func (p *Prober) needed(t *rules.Table) bool {
	return t.Probes() || t != nil && slices.ContainsFunc(t.Rules(), func(r rules.Rule) bool { return r.Method == rules.Probe })
}

// RoutesChanged drops what was found out about addresses whose route changed; all
// is for every address.
func (p *Prober) RoutesChanged(prefixes []netip.Prefix, all bool) {
	p.post(func(e *events) { e.routes(prefixes, all) })
}

// DeviceChanged makes the Prober read a device again when it next asks there, and
// forget its targets when it is gone. 0 is any device.
func (p *Prober) DeviceChanged(index int) {
	p.post(func(e *events) { e.device(int32(index)) }) //nolint:gosec // an index
}

// Neighbor takes in what the kernel found out.
func (p *Prober) Neighbor(n hostwatch.Neighbor) {
	switch {
	case n.Alive:
		p.answered(n.Address, n.Index, true) // the kernel does not say who has answered
	case n.Failed:
		p.post(func(e *events) { e.notReached(n.Address) })
	}
}

// answered takes in that a target has answered on a device, perhaps by a proxy.
func (p *Prober) answered(target netip.Addr, device int, proxy bool) {
	p.post(func(e *events) { e.answered(answer{target: target, device: int32(device), proxy: proxy}) }) //nolint:gosec // an index
}

// post puts something into the mailbox that matters only while something may have to be
// asked.
func (p *Prober) post(f func(*events)) {
	if p.active.Load() {
		p.mail.put(f)
	}
}

// Run asks until ctx ends. Then it removes its host routes.
func (p *Prober) Run(ctx context.Context) error {
	defer p.wires.removeAll()
	defer p.closeSocket()
	p.wires.removeOld()
	p.active.Store(p.needed(p.config.Store.Load()))
	p.prepare()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if due, ok := p.next(); ok {
			timer.Reset(max(0, time.Until(due)))
		} else {
			timer.Stop()
		}
		var out ndp.Outcome
		select {
		case <-ctx.Done():
			return nil
		case err := <-p.ended:
			p.socketEnded(err)
		case q := <-p.queries:
			p.query(q, &out)
		case <-p.mail.wake:
			p.learn(p.mail.take(), &out)
		case <-timer.C:
			p.due(&out)
		}
		p.do(&out)
	}
}

// next returns when there is something to do without an event.
func (p *Prober) next() (time.Time, bool) {
	if p.socket == nil { // nothing can be asked, so nobody is found dead
		return p.retry, !p.retry.IsZero()
	}
	due, ok := p.table.Next()
	if !p.retry.IsZero() && (!ok || p.retry.Before(due)) {
		return p.retry, true
	}
	return due, ok
}

func (p *Prober) due(out *ndp.Outcome) {
	if !p.retry.IsZero() && !time.Now().Before(p.retry) {
		p.prepare()
	}
	if p.socket != nil {
		p.table.Due(time.Now(), out)
	}
}

// learn takes in what happened. Changes go first: an answer that came after one
// must not be dropped with it, and one that came before it is for a device where
// the target is not looked for any more.
func (p *Prober) learn(e events, out *ndp.Outcome) {
	now := time.Now()
	if e.rules {
		clear(p.devices) // they were not followed without a probe rule
		p.active.Store(p.needed(p.config.Store.Load()))
		p.prepare()
		p.table.Keep(p.kept, out)
	}
	if e.anyDevice {
		p.anyDeviceChanged(out)
	}
	for index := range e.devices {
		p.deviceChanged(index, out)
	}
	if e.allRoutes || len(e.prefixes) > 0 {
		prefixes := make([]netip.Prefix, 0, len(e.prefixes))
		for prefix := range e.prefixes {
			prefixes = append(prefixes, prefix)
		}
		p.table.Changed(prefixes, e.allRoutes, out)
	}
	for a := range e.answers {
		p.table.Answer(a.target, a.device, a.proxy, now, out)
	}
	for target := range e.unreached {
		p.table.Doubt(target, now, out)
	}
	if e.overflowed {
		p.faults.report("taking in answers", fmt.Errorf("more than %d came at once", maxAnswers))
	}
}

// do publishes what was learned, then settles, then asks.
func (p *Prober) do(out *ndp.Outcome) {
	changes := make([]rules.EntryChange, 0, len(out.Learned)+len(out.Lost))
	for _, a := range out.Lost {
		p.wires.remove(a)
		changes = append(changes, rules.EntryChange{Entry: rules.Entry{Prefix: netip.PrefixFrom(a, a.BitLen())}, Gone: true})
	}
	for _, e := range out.Learned {
		p.wires.add(p.rules(), e)
		changes = append(changes, rules.EntryChange{Entry: e})
	}
	if len(changes) > 0 {
		p.config.Store.Update(rules.Probed, changes)
	}
	for i := range out.Settled {
		p.settleQuery(&out.Settled[i])
	}
	for i := range out.Refused {
		p.refuseQuery(&out.Refused[i])
	}
	for _, s := range out.Ask {
		p.send(s)
	}
}

// settle answers a query by what was just published.
func (p *Prober) settle(q *ndp.Query) { q.Settle(p.config.Store.Load().View(q.Uplink)) }

// rules returns those in force.
func (p *Prober) rules() []rules.Rule {
	if t := p.config.Store.Load(); t != nil {
		return t.Rules()
	}
	return nil
}
