// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// TestRemoval tells the end of a DaemonSet from the end of a pod.
func TestRemoval(t *testing.T) {
	t.Parallel()
	type said struct {
		presence k8swatch.Presence
		err      error
		after    time.Duration
	}
	lost := errors.New("no way to the server")
	present, deleted, refused, unknown := said{presence: k8swatch.Present}, said{presence: k8swatch.Deleted}, said{presence: k8swatch.Refused}, said{presence: k8swatch.Unknown}
	for name, c := range map[string]struct {
		unpinned bool
		start    []said
		stop     said
		gone     bool
		asked    int
	}{
		"a rollout":                     {start: []said{present}, stop: present, asked: 2},
		"it is deleted":                 {start: []said{present}, stop: deleted, gone: true, asked: 2},
		"the permission is taken":       {start: []said{present}, stop: refused, gone: true, asked: 2},
		"the account is deleted":        {start: []said{present}, stop: unknown, gone: true, asked: 2},
		"no way to the server":          {start: []said{present}, stop: said{err: lost}, asked: 2},
		"a server that says nothing":    {start: []said{present}, stop: said{presence: k8swatch.Deleted, after: time.Hour}, asked: 2},
		"a late server":                 {start: []said{{err: lost}, {err: lost}, present}, stop: deleted, gone: true, asked: 4},
		"it never was there":            {start: []said{deleted}, stop: deleted, asked: 1},
		"it never might be read":        {start: []said{refused}, stop: refused, asked: 1},
		"the account never was known":   {start: []said{unknown}, stop: unknown, asked: 1},
		"the server never was there":    {start: []said{{presence: k8swatch.Present, after: 24 * time.Hour}}, asked: 1},
		"nothing stays after the stop":  {unpinned: true, start: []said{present}, stop: deleted},
		"no DaemonSet, nor a question":  {start: nil, stop: deleted},
		"the stop is not one of a pod ": {unpinned: true, start: nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				r := &removal{log: slog.New(slog.DiscardHandler), pinned: make(chan struct{})}
				if c.start != nil {
					r.ask = func(ctx context.Context) (k8swatch.Presence, error) {
						s := c.stop
						if asked < len(c.start) {
							s = c.start[asked]
						}
						asked++
						select {
						case <-time.After(s.after):
							return s.presence, s.err
						case <-ctx.Done():
							return k8swatch.Present, ctx.Err()
						}
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				gone := r.follows(ctx)
				ended := make(chan error, 1)
				go func() { ended <- r.Run(ctx) }()
				path := ndp.Path{Pinned: "/bpf/1/eth0"}
				if c.unpinned {
					path.Pinned = ""
				}
				for range 2 {
					r.look([]*uplink.Facts{{}, {Path: path}})
				}
				time.Sleep(time.Minute)
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				began := time.Now()
				if got := gone(); got != c.gone {
					t.Errorf("it is gone: %t", got)
				}
				if took := time.Since(began); took > removalWait {
					t.Errorf("that takes %s", took)
				}
				if asked != c.asked {
					t.Errorf("it is asked for %d times", asked)
				}
			})
		})
	}
}

// TestRemovalAfterFault holds what is pinned where the daemon ends by itself.
func TestRemovalAfterFault(t *testing.T) {
	t.Parallel()
	r := &removal{log: slog.New(slog.DiscardHandler), ask: func(context.Context) (k8swatch.Presence, error) {
		t.Error("it is asked for")
		return k8swatch.Deleted, nil
	}}
	r.may.Store(true)
	if r.follows(t.Context())() {
		t.Error("it is gone")
	}
}
