// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// backoff spaces repeated attempts: first at first, doubled up to most.
type backoff struct{ first, most, wait time.Duration }

// The bounds for what fails: what the kernel refuses now, for want of memory or
// of descriptors, it may grant soon.
const (
	retryFirst = 250 * time.Millisecond
	retryMost  = 5 * time.Second
)

// next returns how long to wait before the next attempt.
func (b *backoff) next() time.Duration {
	b.wait = min(max(2*b.wait, b.first), b.most)
	return b.wait
}

// reset begins anew, after an attempt that succeeded.
func (b *backoff) reset() { b.wait = 0 }

// pause waits for the next attempt, and returns false when ctx ended first.
func (b *backoff) pause(ctx context.Context) bool { return b.pauseUntil(ctx, nil) }

// pauseUntil does the same, and ends early for a message on wake.
func (b *backoff) pauseUntil(ctx context.Context, wake <-chan struct{}) bool {
	t := time.NewTimer(b.next())
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-wake:
		return true
	case <-ctx.Done():
		return false
	}
}

// isShortage reports whether an error says that the host is out of something for
// a while: descriptors, memory or buffers.
func isShortage(err error) bool {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS, unix.EAGAIN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
