// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// TestBackoff waits longer each time, and begins anew after a long time without a failure.
func TestBackoff(t *testing.T) {
	t.Parallel()
	b := newBackoff()
	now := time.Unix(0, 0)
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		at := b.next(now)
		if at.Sub(now) != want*time.Second {
			t.Errorf("failure %d: it is tried again after %s", i, at.Sub(now))
		}
		now = at
	}
	if at := b.next(now.Add(lastRetry)); at.Sub(now) != 2*lastRetry {
		t.Errorf("soon after: %s", at.Sub(now))
	}
	now = now.Add(4 * lastRetry)
	if at := b.next(now); at.Sub(now) != firstRetry {
		t.Errorf("long after: %s", at.Sub(now))
	}
}

// TestPasses tells what is tried again from what no time changes. Of the errors that the
// kernel cannot be made to return in a test, it has what package ebpf makes of them.
func TestPasses(t *testing.T) {
	t.Parallel()
	refused := func(cause error) error { return &ebpf.VerifierError{Cause: cause, Log: []string{"no"}} }
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":                      {nil, false},
		"a hook without room":          {fmt.Errorf("attach: %w", unix.ERANGE), true},
		"a busy hook":                  {fmt.Errorf("attach: %w", unix.EBUSY), true},
		"a device that is gone":        {fmt.Errorf("attach: %w", unix.ENODEV), true},
		"no memory for the program":    {notLoaded(refused(unix.ENOMEM)), true},
		"no memory for a map":          {notLoaded(fmt.Errorf("map lines: %w", unix.ENOMEM)), true},
		"no room for the log":          {notLoaded(refused(unix.ENOSPC)), true},
		"a verifier that was stopped":  {notLoaded(refused(unix.EAGAIN)), true},
		"refused by a security module": {notLoaded(unix.EPERM), true},
		"refused by the verifier":      {notLoaded(refused(unix.EACCES)), false},
		"unknown to the verifier":      {notLoaded(refused(unix.EINVAL)), false},
		"unknown to the kernel":        {notLoaded(fmt.Errorf("map: %w", ebpf.ErrNotSupported)), false},
		"settings":                     {errNotAsked, false},
		"settings, more closely":       {fmt.Errorf("a way: %w", errNotAsked), false},
		"lost answers":                 {fmt.Errorf("%w: %w", errLost, errNoPeerProgram), true},
		"one of two":                   {errors.Join(errNotAsked, unix.EBUSY), true},
		"none of two":                  {errors.Join(errNotAsked, lasting{unix.EOPNOTSUPP}), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := passes(c.err); got != c.want {
				t.Errorf("%v passes: %t", c.err, got)
			}
		})
	}
}
