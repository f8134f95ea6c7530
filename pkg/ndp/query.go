// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Query is a solicitation that waits until its target was asked.
type Query struct {
	Target netip.Addr
	// Uplink is the name of the interface that the solicitation came in on.
	Uplink string
	// Verdict is what asked for the probe.
	Verdict rules.Verdict

	listener *Listener
	kind     Kind
	at       int64 // reception, nanoseconds since 1970
	s        Solicitation
}

// Settle answers the query by the interface as it is now and by view, or counts
// why not. view is the uplink's part of the table that the prober has just
// published: the listener may not have it yet. Any goroutine may call Settle,
// once for each query; it does not block.
func (q *Query) Settle(view *rules.View) {
	l := q.listener
	var reply Advertisement
	_, reason := q.s.answer(&reply, l.iface.Load(), view)
	switch reason {
	case Answered:
		l.counters.Probes[ProbeAnswered].Add(1)
		if err := l.Send(reply[:]); err != nil { // the solicitation is repeated (RFC 4861 §7.2.2)
			reason = SendFailed
			l.counters.sendFailed()
			break
		}
		l.counters.answered(q.kind, time.Now().UnixNano()-q.at)
	case Probing:
		reason = NoNeighbor
		l.counters.Probes[ProbeUnanswered].Add(1)
		fallthrough
	default:
		l.counters.ignored(reason)
	}
	q.record(reason)
}

// record leaves a record of the outcome, unless somebody reads the records at that moment.
func (q *Query) record(r Reason) {
	n := pendingRecords{recent: q.listener.recent}
	n.add(time.Now().UnixNano(), nil, &q.s, q.kind, r)
	n.flush()
}

// Refuse counts a query whose target could not be asked, as too many were being
// asked already. It is called in place of Settle.
func (q *Query) Refuse() {
	q.listener.counters.refused()
	q.record(ProbeLimited)
}
