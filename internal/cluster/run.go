// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Run follows the cluster until ctx ends, and returns nil then. In the end it
// gives this node's lease back, and returns only when others have had the time
// to take its service addresses over: the uplinks have to answer until then.
func (m *Manager) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { m.followClusters(ctx); return nil })
	g.Go(func() error { m.drive(ctx); return nil })
	g.Go(func() error { m.deliverAll(ctx); return nil })
	return g.Wait()
}

// drive does what the election has to do when it is due, and takes over what the
// uplinks tell.
func (m *Manager) drive(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if wait, ok := m.arm(); ok {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-m.moved:
			m.readLinks()
		case <-timer.C:
			m.due()
		}
	}
}

// arm returns how long to wait until the election has something to do, and false
// for ever.
func (m *Manager) arm() (time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.next()
	m.armed = at
	return max(0, time.Until(at)), ok
}

// due does what the election has to do now.
func (m *Manager) due() {
	m.update(func(now time.Time) {
		if m.current != nil {
			m.current.due(now)
		}
	})
}

// deliverAll hands messages over until ctx ends.
func (m *Manager) deliverAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.outbox.posted:
		}
		messages := m.outbox.take()
		messages.deliver(m.uplinks, m.notify)
	}
}

// followClusters runs the watcher of the current cluster until ctx ends.
func (m *Manager) followClusters(ctx context.Context) {
	var running session // of no cluster
	for {
		select {
		case <-ctx.Done():
			running.end(ctx.Err())
			m.handOver(running.cluster)
			return
		case <-m.switched:
		}
		next, standby := m.toFollow()
		if next == running.cluster {
			continue
		}
		running.end(endOf(running.cluster, next, standby))
		if standby {
			m.leaveAddresses()
		}
		running = begin(ctx, next)
	}
}

// session is a cluster whose watcher runs.
type session struct {
	cluster *cluster // nil for none
	stop    context.CancelCauseFunc
	done    chan struct{}
}

// begin follows a cluster until ctx or the session ends.
func begin(ctx context.Context, c *cluster) session {
	if c == nil {
		return session{}
	}
	ctx, stop := context.WithCancelCause(ctx)
	s := session{cluster: c, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		c.run(ctx)
	}()
	return s
}

// end stops the watcher, and waits until it has ended.
func (s session) end(cause error) {
	if s.cluster != nil {
		s.stop(cause)
		<-s.done
	}
}

// endOf returns the cause with which the watcher of a cluster ends: this node's
// lease is left to the next one, or given back where that has none.
func endOf(old, next *cluster, standby bool) error {
	if old != nil && next != nil && next.needs.Leases && !standby && next.config.Node == old.config.Node && next.config.Namespace == old.config.Namespace {
		return k8swatch.ErrReplaced
	}
	return context.Canceled
}

// toFollow returns the cluster that is to be followed, nil for none, and whether
// this node stands by in it.
func (m *Manager) toFollow() (c *cluster, standby bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current == nil {
		return nil, false
	}
	if m.current.leaving {
		m.current.markLeaving()
		m.current = m.current.standDown()
		m.setPresence(presence{})
	}
	return m.current, m.current.standby
}

// handOver waits until others have taken over what this node owns.
func (m *Manager) handOver(c *cluster) {
	if c == nil {
		return
	}
	m.mu.Lock()
	s := c.election.Status(time.Now())
	m.mu.Unlock()
	if s.Owned > 0 && s.Announcers > 1 {
		time.Sleep(ownership.HandOver)
	}
}

// leaveAddresses falls silent for service addresses when others have had the
// time to take them over, even where the daemon ends meanwhile.
func (m *Manager) leaveAddresses() {
	time.Sleep(ownership.HandOver)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear(rules.ServiceAddresses)
}
