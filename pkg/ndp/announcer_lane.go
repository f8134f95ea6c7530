// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"time"

	"golang.org/x/time/rate"
)

// lane is a queue of series with a rate of its own.
type lane struct {
	queue schedule[*series]
	limit *rate.Limiter
	free  time.Time // when the next announcement may leave
}

// The lanes: an urgent announcement does not wait for others.
const (
	urgentLane = iota
	commonLane
	laneCount
)

// next returns when the lane has something to do, and false for never.
func (l *lane) next() (time.Time, bool) {
	if len(l.queue) == 0 {
		return time.Time{}, false
	}
	due := l.queue[0].due
	if due.Before(l.free) && l.queue[0].left > 0 {
		due = l.free
	}
	return due, true
}

// limiter returns the lane's rate, which spaces evenly.
func (l *lane) limiter(perSecond rate.Limit) *rate.Limiter {
	if l.limit == nil {
		l.limit = rate.NewLimiter(perSecond, 1)
	}
	return l.limit
}

// take reports whether an announcement may leave.
func (l *lane) take(now time.Time, perSecond rate.Limit) bool {
	ok := l.limiter(perSecond).AllowN(now, 1)
	l.free = now.Add(untilToken(l.limit, now))
	return ok
}
