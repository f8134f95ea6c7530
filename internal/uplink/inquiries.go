// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// inquiryWait is how long a station has to answer, see claimWindow of package ndp.
	inquiryWait = 150 * time.Millisecond
	// inquiryAsks is how often the link is asked for a new address. An address that
	// another node had is asked for once, since routers wait for its announcement.
	inquiryAsks = 2
	// inquiryRate and urgentInquiryRate are how many questions leave in a second, so
	// that as many addresses are asked for as may be announced then. Each question
	// reaches the stations of one group.
	inquiryRate       = inquiryAsks * 100
	urgentInquiryRate = 1000
	// inquiryRetry is the time after which a question is repeated that the device had
	// no room for.
	inquiryRetry = 100 * time.Millisecond
)

// inquiries ask the link who has a service address before this node announces it for
// the first time. A station that answers that the address is its own has a claim, and
// the announcement waits for what becomes of that.
type inquiries struct {
	open   map[netip.Addr]*inquiry
	queues [2][]*inquiry    // those to be asked, in order; the urgent ones first
	limits [2]*rate.Limiter // of each queue
	asked  []*inquiry       // those whose stations may still answer, in order
	rest   time.Time        // until when the device has no room
}

// inquiry is the question who has an address.
type inquiry struct {
	address  netip.Addr
	override bool
	urgent   bool      // another node had the address
	left     int       // questions
	due      time.Time // of the question, or of the end of the wait for answers
}

// queue returns which queue an inquiry waits in.
func (i *inquiry) queue() int {
	if i.urgent {
		return 0
	}
	return 1
}

// begin asks for an address from a time on, and has it announced then.
func (q *inquiries) begin(a netip.Addr, override, urgent bool, at time.Time) {
	if q.open == nil {
		q.open = make(map[netip.Addr]*inquiry)
		q.limits = [2]*rate.Limiter{rate.NewLimiter(urgentInquiryRate, 1), rate.NewLimiter(inquiryRate, 1)}
	}
	if q.open[a] != nil {
		return
	}
	i := &inquiry{address: a, override: override, urgent: urgent, left: inquiryAsks, due: at}
	if urgent {
		i.left = 1
	}
	q.open[a] = i
	q.queues[i.queue()] = append(q.queues[i.queue()], i)
}

// drop ends the inquiry about an address that is no longer answered for.
func (q *inquiries) drop(a netip.Addr) { delete(q.open, a) }

// clear ends all of them.
func (q *inquiries) clear() {
	clear(q.open)
	clear(q.queues[:])
	q.asked, q.rest = nil, time.Time{}
}

// next returns when there is something to do, and false for never.
func (q *inquiries) next(now time.Time) (first time.Time, ok bool) {
	sooner := func(t time.Time) {
		if !ok || t.Before(first) {
			first, ok = t, true
		}
	}
	if len(q.asked) > 0 {
		sooner(q.asked[0].due)
	}
	for n, queue := range q.queues {
		if len(queue) == 0 {
			continue
		}
		due := queue[0].due
		if q.rest.After(due) {
			due = q.rest
		}
		if free := now.Add(untilFree(q.limits[n], now)); free.After(due) {
			due = free
		}
		sooner(due)
	}
	return first, ok
}

// untilFree returns when a limiter lets the next one through.
func untilFree(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / float64(l.Limit()) * float64(time.Second))
}

// turn asks what is due, and has announced what nobody has answered for.
func (q *inquiries) turn(u *Uplink, now time.Time) {
	if len(q.open) == 0 { // what still waits was dropped, and must not be due for ever
		q.clear()
		return
	}
	if u.responder == nil || u.state != Ready { // all is announced when the uplink is ready again
		q.clear()
		return
	}
	for len(q.asked) > 0 && !q.asked[0].due.After(now) {
		i := q.asked[0]
		q.asked = q.asked[1:]
		switch {
		case q.open[i.address] != i: // dropped
		case i.left > 0 && !u.conflicts.claims.Open(i.address):
			i.due = now
			q.queues[i.queue()] = append(q.queues[i.queue()], i)
		default:
			delete(q.open, i.address)
			q.announce(u, i, now)
		}
	}
	for n := range q.queues {
		q.ask(u, n, now)
	}
}

// ask sends the questions of a queue that are due.
func (q *inquiries) ask(u *Uplink, n int, now time.Time) {
	for len(q.queues[n]) > 0 && !q.queues[n][0].due.After(now) && !now.Before(q.rest) {
		i := q.queues[n][0]
		if q.open[i.address] == i {
			if !q.limits[n].AllowN(now, 1) {
				return
			}
			if err := u.send(u.iface.Solicitation(i.address)); err != nil {
				q.rest = now.Add(inquiryRetry)
				u.report("ask stations", err)
				return
			}
			i.left, i.due = i.left-1, now.Add(inquiryWait)
			q.asked = append(q.asked, i)
		}
		q.queues[n] = q.queues[n][1:]
	}
}

// announce begins to announce an address that was asked for. A claim that is not settled
// holds the announcement back, see [announcements.sendDue].
func (q *inquiries) announce(u *Uplink, i *inquiry, now time.Time) {
	switch {
	case !u.announces(i.address):
	case i.urgent:
		u.announcements.announcer.TakeOver(i.address, i.override, now)
	default:
		u.announcements.announcer.Announce(i.address, i.override, now)
	}
}

// begin announces an address from a time on: a service address after the link was asked,
// unless an announcer of the cluster has answered for it before.
func (a *announcements) begin(u *Uplink, address netip.Addr, v rules.Verdict, takeOver bool, at time.Time) {
	override := v.Delay == 0
	switch {
	case u.options.Cluster.Asks(u.name, address):
		a.inquiries.begin(address, override, takeOver, at)
	case takeOver:
		a.announcer.TakeOver(address, override, at)
	default:
		a.announcer.Announce(address, override, at)
	}
}

// holds reports whether the announcement of a service address has to wait until it is
// known whether another station has the address.
func (u *Uplink) holds(next ndp.Announcement) bool {
	return u.conflicts.claims.Open(next.Address) && u.options.Cluster.Shares(next.Address)
}
