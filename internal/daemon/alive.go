// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// aliveTimeout is how long the daemon's loops may take to show that they run. A
// load of a large table takes a fraction of it.
const aliveTimeout = 5 * time.Second

// alive makes the loop and each uplink's receive loop go round once, and returns
// nil when all have. What it asks for is work that an answer needs as well, so a
// daemon that is alive in this sense is not one whose ticker is.
func (d *daemon) alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	asked := make(chan []*ndp.Listener, 1)
	select {
	case d.pulse <- asked:
	case <-ctx.Done():
		return fmt.Errorf("the daemon's loop does not go round: %w", ctx.Err())
	}
	var listeners []*ndp.Listener
	select {
	case listeners = <-asked:
	case <-ctx.Done():
		return fmt.Errorf("the daemon's loop does not go round: %w", ctx.Err())
	}
	for _, l := range listeners {
		if err := l.Alive(ctx); err != nil {
			return err
		}
	}
	return nil
}

// listeners returns the sockets that are open.
func (s *supervisor) listeners() []*ndp.Listener {
	var open []*ndp.Listener
	s.look(func(u *uplink) {
		if u.listener != nil {
			open = append(open, u.listener)
		}
	})
	return open
}
