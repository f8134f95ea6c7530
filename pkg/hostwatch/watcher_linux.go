// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"context"
	"errors"
	"sync"
)

// Watcher is a subscription to changes of links, IPv6 addresses and settings,
// routes, policy rules and neighbors. Events wait in the kernel from the moment
// of Watch on.
type Watcher struct {
	// Routes is what the kernel's routes say.
	Routes *Routes

	routes    routeWatch
	neighbors neighborWatch
}

// Watch subscribes, and reads what is there. It needs no privilege.
func Watch() (*Watcher, error) { return open(host{}) }

// WatchRetry is [Watch] for a program that starts on a host in trouble: while the
// host is out of descriptors, memory or buffers it tries again until ctx ends. It
// calls failed for each attempt that failed.
func WatchRetry(ctx context.Context, failed func(error)) (*Watcher, error) {
	return openRetry(ctx, host{}, failed)
}

func openRetry(ctx context.Context, k kernel, failed func(error)) (*Watcher, error) {
	retry := backoff{first: retryFirst, most: retryMost}
	for {
		w, err := open(k)
		if err == nil || !isShortage(err) {
			return w, err
		}
		failed(err)
		if !retry.pause(ctx) {
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

// open makes one attempt.
func open(k kernel) (*Watcher, error) {
	w := &Watcher{routes: routeWatch{kernel: k}, neighbors: neighborWatch{kernel: k, bridges: newBridges()}}
	if err := w.routes.open(); err != nil {
		return nil, err
	}
	if err := errors.Join(w.routes.read(), w.neighbors.open()); err != nil {
		w.Close()
		return nil, err
	}
	w.Routes = w.routes.reader.routes
	return w, nil
}

// Run hands changes to h until ctx ends, and ends the subscription then. What
// fails is tried again, and h.Failed hears of it; so it always returns nil.
func (w *Watcher) Run(ctx context.Context, h Handler) error {
	var g sync.WaitGroup
	g.Go(func() { w.neighbors.run(ctx, h) })
	w.routes.run(ctx, h)
	g.Wait()
	return nil
}

// Close ends the subscription of a Watcher that does not run.
func (w *Watcher) Close() {
	for _, s := range []subscription{w.routes.socket, w.neighbors.socket} {
		if s != nil {
			_ = s.Close()
		}
	}
}

// Stations returns the MAC addresses behind the virtual ports of the bridge with
// that index: containers and machines of this node, and the ports themselves. From
// now on the Watcher tells when they change ([WhatStations]), for long no more than
// ten times a second. The map never changes, and is empty for what is no bridge. It keeps at
// most 256 stations a port.
func (w *Watcher) Stations(bridge int) map[[6]byte]bool {
	return w.neighbors.bridges.stations(int32(bridge)) //nolint:gosec // the kernel's int
}
