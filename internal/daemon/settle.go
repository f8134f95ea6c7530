// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
)

// settleEvery is the time between two looks at whether the evidence is complete. Nothing
// looks any more once it is.
const settleEvery = 100 * time.Millisecond

// settler tells the uplinks once after the start that all evidence has come in: then
// what an earlier daemon has left in the kernel, and nothing has confirmed, goes. It
// implements [task.Task].
type settler struct {
	missing func() error // what has not come in yet, nil for nothing
	settle  func()
}

// newSettler returns the settler of a daemon. The kernel's routes were read before
// anything runs.
func newSettler(d *daemon) *settler {
	return &settler{missing: d.missing, settle: func() {
		d.uplinks.Settle()
		d.sweep()
	}}
}

// missing returns what of the evidence has not come in yet since the start. What the
// cluster's snapshot says counts, as it does for answers.
func (d *daemon) missing() error {
	if !d.reconciler.followed.Load() {
		return errors.New("the uplinks have not taken the configuration over, or the rules that follow from their links are not made")
	}
	return errors.Join(d.reconciler.Ready(), d.targets.Ready(), d.cluster.Ready())
}

// String implements [task.Task].
func (*settler) String() string { return "evidence of the start" }

// Ready implements [task.Task]: each part of the evidence is waited for by its own task.
func (*settler) Ready() error { return nil }

// Run implements [task.Task].
func (s *settler) Run(ctx context.Context) error {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for s.missing() != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	s.settle()
	tick.Stop()
	<-ctx.Done()
	return nil
}

// sweep ends what an earlier daemon has left on interfaces that are no uplinks any more, or
// that were uplinks by another name or in this network namespace.
func (d *daemon) sweep() {
	removed, err := fastpath.Sweep(d.pins, d.reconciler.uses)
	for _, what := range removed {
		d.log.Info("removed what an earlier daemon has left in the kernel", "what", what)
	}
	if err != nil {
		d.log.Warn("what an earlier daemon has left in the kernel stays there", "err", err)
	}
}
