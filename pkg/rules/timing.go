// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"fmt"
	"time"
)

// The bounds of a Timing.
const (
	// MinTimeout is the shortest wait for an answer, several times the round trip
	// on a link.
	MinTimeout = 10 * time.Millisecond
	// MaxTimeout is the longest, twice RETRANS_TIMER of RFC 4861 §10.
	MaxTimeout = 2 * time.Second
	// MaxRetries is the most solicitations after the first one.
	MaxRetries = 10
	// MinTTL limits the solicitations for one target to one a second (RFC 4861
	// §7.2.2).
	MinTTL = time.Second
	// MaxTTL is how long a target may count as alive without being asked again.
	MaxTTL = time.Hour
	// MaxDeadtime bounds how long a target that was just started can stay
	// unanswered because it was asked for too early.
	MaxDeadtime = 3 * time.Second
	// NoDeadtime is a deadtime of 0, which otherwise stands for the default.
	NoDeadtime = -time.Nanosecond
)

// Timing is how a Probe rule asks. The zero fields stand for the defaults.
type Timing struct {
	// Timeout is the wait for the answer to one solicitation; 500 ms.
	Timeout time.Duration
	// TTL is how long an answer counts; 30 s.
	TTL time.Duration
	// Deadtime is how long a missing answer counts; 3 s, and NoDeadtime for
	// not at all.
	Deadtime time.Duration
	// Retries is how often a target is asked again; 3, and -1 for never.
	Retries int
}

// WithDefaults fills in what is zero. These are ndppd's defaults but for the
// deadtime, which there is 30 s.
func (t Timing) WithDefaults() Timing {
	if t.Timeout == 0 {
		t.Timeout = 500 * time.Millisecond
	}
	if t.TTL == 0 {
		t.TTL = 30 * time.Second
	}
	if t.Deadtime == 0 {
		t.Deadtime = MaxDeadtime
	}
	if t.Retries == 0 {
		t.Retries = 3
	}
	t.Retries = max(t.Retries, 0)
	t.Deadtime = max(t.Deadtime, 0)
	return t
}

func (t Timing) validate() error {
	d := t.WithDefaults()
	var errs []error
	bound := func(name string, v, low, high time.Duration) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s %s is outside %s to %s", name, v, low, high))
		}
	}
	bound("timeout", d.Timeout, MinTimeout, MaxTimeout)
	bound("ttl", d.TTL, MinTTL, MaxTTL)
	bound("deadtime", d.Deadtime, 0, MaxDeadtime)
	if d.Retries > MaxRetries {
		errs = append(errs, fmt.Errorf("retries %d is more than %d", d.Retries, MaxRetries))
	}
	return errors.Join(errs...)
}
