// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/packet"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Query is a solicitation that waits until its target was asked.
type Query struct {
	Target netip.Addr
	// Verdict is what asked for the probe.
	Verdict rules.Verdict

	listener *Listener
	kind     Kind
	at       int64 // reception, nanoseconds since 1970
	s        solicitation
}

// Settle answers the query by the rules and the interface as they are now, which
// the target's answer is part of, or counts why not. Any goroutine may call it,
// once for each query.
func (q *Query) Settle() {
	l := q.listener
	var reply Advertisement
	_, reason := q.s.answer(&reply, l.iface.Load(), l.view.Load())
	switch reason {
	case Answered:
		l.counters.Probes[ProbeAnswered].Add(1)
		if err := l.Send(reply[:]); err != nil {
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
	q.note(reason)
}

// note leaves a record of the outcome, unless somebody reads them just now.
func (q *Query) note(r Reason) {
	n := notes{recent: q.listener.recent}
	n.add(time.Now().UnixNano(), nil, &q.s, q.kind, r)
	n.flush()
}

// Refuse counts a query that could not be asked for want of room.
func (q *Query) Refuse() {
	q.listener.counters.refused()
	q.note(ProbeLimited)
}

// Send sends a whole Ethernet frame on the device. Any goroutine may call it.
func (l *Listener) Send(frame []byte) error {
	if _, err := l.conn.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])}); err != nil {
		return fmt.Errorf("send frame: %w", err)
	}
	return nil
}
