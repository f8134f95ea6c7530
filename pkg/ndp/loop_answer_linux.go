// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// account counts a result, and adds the answer that Respond has written to the
// batch, or delays it. limit is the asker's. It returns what became of the
// solicitation, Probing while that is open.
func (lp *loop) account(res Result, limit int, iface *Interface, view *rules.View) Reason {
	c := lp.l.counters
	c.Received[res.Kind].Add(1)
	if res.Redirected {
		c.Redirected.Add(1)
	}
	switch {
	case res.Reason != Answered && res.Reason != Probing:
		c.ignored(res.Reason)
		return res.Reason
	// An asker over its own limit does not count against what all share.
	case limit > 0 && !lp.allow(limit, iface):
		c.ignored(RateLimited)
		return RateLimited
	}
	if res.Kind == DAD && !lp.limit.take(lp.clock, multicastRate) {
		lp.s.alone = true
		copy(lp.batch.slot()[offEtherDst:], lp.s.asker[:])
	}
	switch {
	case res.Hold > 0 && lp.held.full():
		c.ignored(Displaced)
		return Displaced
	case res.Hold > 0:
		lp.held.add(lp.clock+int64(res.Hold), res.Delay, res.Kind, &lp.s)
		return Probing
	case res.Delay > 0:
		lp.delay(res.Delay, res.Kind, &lp.s, iface, view)
		return Probing
	case res.Reason == Probing:
		return lp.query(&lp.s, res.Kind, res.verdict, lp.rx.at)
	default:
		lp.batch.add(res.Kind, lp.rx.at)
		return Answered
	}
}

// delay puts an answer off for a random time. When too many wait, the one that
// is due first leaves at once: the delay is there to spread answers, and under a
// flood a short one does that as well.
func (lp *loop) delay(limit time.Duration, k Kind, s *Solicitation, iface *Interface, view *rules.View) {
	if lp.spread.full() {
		d := lp.spread.pop()
		lp.finish(&d, iface, view)
	}
	lp.spread.add(lp.clock+randomDelay(limit), 0, k, s)
}

// query hands a solicitation to the prober, which settles it.
func (lp *loop) query(s *Solicitation, k Kind, v *rules.Verdict, at int64) Reason {
	q := Query{Target: s.target, Uplink: lp.l.iface.Load().facts.Uplink.Interface, Verdict: *v, listener: lp.l, kind: k, at: at, s: *s}
	if !lp.l.ask(q) {
		lp.l.counters.refused()
		return ProbeLimited
	}
	return Probing
}

// allow reports whether the asker may have another answer.
func (lp *loop) allow(limit int, iface *Interface) bool {
	if lp.askers == nil {
		lp.askers = newAskers()
	}
	return lp.askers.take(&lp.s, iface.isNextHop(lp.s.source), lp.clock, limit)
}

// now is the clock of delays and limits, in nanoseconds.
func (lp *loop) now() int64 { return int64(time.Since(lp.started)) }

// nextDue returns when the first delayed answer is due.
func (lp *loop) nextDue() (due int64, waiting bool) {
	due, waiting = lp.held.next()
	if other, also := lp.spread.next(); also && (!waiting || other < due) {
		return other, true
	}
	return due, waiting
}

// sendDue answers the delayed solicitations whose time has come by the rules
// and the interface as they are now.
func (lp *loop) sendDue() {
	if _, waiting := lp.nextDue(); !waiting {
		return
	}
	lp.clock = lp.now()
	iface, view := lp.l.iface.Load(), lp.l.view.Load()
	for due, ok := lp.held.next(); ok && due <= lp.clock; due, ok = lp.held.next() {
		d := lp.held.pop()
		if lp.makeRoom(); d.delay > 0 {
			lp.delay(d.delay, d.kind, &d.s, iface, view)
			continue
		}
		lp.finish(&d, iface, view)
	}
	for due, ok := lp.spread.next(); ok && due <= lp.clock; due, ok = lp.spread.next() {
		d := lp.spread.pop()
		lp.makeRoom()
		lp.finish(&d, iface, view)
	}
}

// makeRoom sends the batch when it is full.
func (lp *loop) makeRoom() {
	if lp.batch.full() {
		lp.batch.send(lp.fd, lp.l.counters)
	}
}

// finish answers a solicitation that has waited. The batch must have room.
func (lp *loop) finish(d *delayed, iface *Interface, view *rules.View) {
	verdict, reason := d.s.answer(lp.batch.slot(), iface, view)
	at := time.Now().UnixNano()
	switch reason {
	case Answered:
		lp.batch.add(d.kind, at)
	case Probing:
		reason = lp.query(&d.s, d.kind, verdict, at)
	case NoRule, Silent(rules.Denied), Silent(rules.NoRoute), Silent(rules.OwnAddress), Silent(rules.SameLink), Silent(rules.Shared), Silent(rules.Standby):
		reason = Withdrawn
		fallthrough
	default:
		lp.l.counters.ignored(reason)
	}
	if reason != Probing {
		lp.records.add(at, nil, &d.s, d.kind, reason)
	}
}
