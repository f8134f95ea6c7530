// SPDX-License-Identifier: Apache-2.0

// Package task runs what the daemon consists of. Each part is a [Task]; a
// [Group] starts them in order, stops them in reverse, and tells which of them
// is not ready yet and why.
//
// Package daemon makes one Group. Ready and String of a task may be called from
// any goroutine, at any time, and must not wait for the task's work.
package task

import (
	"context"
	"time"
)

// Task is something that runs for as long as the daemon does.
type Task interface {
	// Run works until ctx ends, and returns nil then. Any other return ends
	// the daemon, so what can be retried is retried inside.
	Run(ctx context.Context) error
	// Ready returns nil once the task does its part, and before that an error
	// that names what it waits for, as in "the first table". It must not block.
	Ready() error
	// String names the task in logs and in status, for example "uplink eth0".
	String() string
}

// Backoff spaces repeated attempts: 250 ms at first, doubled up to 5 s. The zero
// Backoff is ready to use. It is not safe for concurrent use.
type Backoff struct{ wait time.Duration }

// The bounds of a Backoff. An operator who corrects the cause should not have to
// wait long, and a lasting cause should cost nothing.
const (
	backoffFirst = 250 * time.Millisecond
	backoffMost  = 5 * time.Second
)

// Next returns how long to wait before the next attempt.
func (b *Backoff) Next() time.Duration {
	b.wait = min(max(2*b.wait, backoffFirst), backoffMost)
	return b.wait
}

// Reset begins anew, after an attempt that succeeded.
func (b *Backoff) Reset() { b.wait = 0 }
