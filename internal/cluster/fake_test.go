// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// fakeWatcher is a watcher whose API server is the test.
type fakeWatcher struct {
	config  k8swatch.Config
	handler k8swatch.Handler
	stuck   chan struct{} // Run does not end before this is closed, unless it is nil

	mu        sync.Mutex
	began     bool
	cause     error // with which Run has ended
	announced bool
	renewals  int
	events    []k8swatch.Event
	calls     []string
	withdrawn int
	links     int  // how often they have changed
	away      bool // the last request for the leases has failed
	waits     []string
	other     bool         // it asks another server
	nodes     []netip.Addr // those of other Nodes that are fit
	fault     error        // of the list of Nodes
	proxy     string
}

func (w *fakeWatcher) Run(ctx context.Context) {
	w.mu.Lock()
	w.began = true
	w.mu.Unlock()
	<-ctx.Done()
	if w.stuck != nil {
		<-w.stuck
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cause = context.Cause(ctx)
}

func (w *fakeWatcher) Announce() { w.set(func() { w.announced = true }) }
func (w *fakeWatcher) Renew()    { w.set(func() { w.renewals++ }) }

func (w *fakeWatcher) Withdraw() {
	w.set(func() { w.announced, w.withdrawn = false, w.withdrawn+1 })
}

func (w *fakeWatcher) LinksChanged() { w.set(func() { w.links++ }) }

func (w *fakeWatcher) Follows() (follows bool) {
	w.set(func() { follows = !w.away })
	return follows
}

func (w *fakeWatcher) Call(node string, needed bool) {
	w.set(func() { w.calls = append(w.calls, fmt.Sprint(node, " ", needed)) })
}

func (w *fakeWatcher) Emit(e k8swatch.Event) { w.set(func() { w.events = append(w.events, e) }) }

func (w *fakeWatcher) StandIn(_ context.Context, near func(netip.Addr) bool) (found bool, err error) {
	w.set(func() { found, err = slices.ContainsFunc(w.nodes, near), w.fault })
	return found, err
}

func (w *fakeWatcher) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *fakeWatcher) Status() []k8swatch.SourceStatus {
	return []k8swatch.SourceStatus{{Source: "pods", Synced: true}}
}

func (w *fakeWatcher) Waits() []string            { return slices.Clone(w.waits) }
func (w *fakeWatcher) Server() string             { return "https://api.example:6443" }
func (w *fakeWatcher) Uses(*k8swatch.Client) bool { return !w.other }

// ProxySeen implements watcher.
func (w *fakeWatcher) ProxySeen(url string) { w.set(func() { w.proxy = url }) }

// reasons returns those of the Events.
func (w *fakeWatcher) reasons() (rs []string) {
	w.set(func() {
		for _, e := range w.events {
			rs = append(rs, e.Reason)
		}
	})
	return rs
}

// fakeUplinks record what they are told.
type fakeUplinks struct {
	stuck chan struct{} // nothing returns before this is closed, unless it is nil

	mu        sync.Mutex
	links     []Link
	presence  netip.Addr
	witnessed []netip.Addr
	asked     []netip.Addr
	appeared  []netip.Addr
}

func (u *fakeUplinks) record(f func()) {
	if u.stuck != nil {
		<-u.stuck
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	f()
}

func (u *fakeUplinks) Links() (links []Link) {
	u.record(func() { links = slices.Clone(u.links) })
	return links
}

func (u *fakeUplinks) Ask(target netip.Addr, _ [6]byte) {
	u.record(func() { u.asked = append(u.asked, target) })
}
func (u *fakeUplinks) SetPresence(own netip.Addr, witnessed []netip.Addr) {
	u.record(func() { u.presence, u.witnessed = own, witnessed })
}
func (u *fakeUplinks) Appeared(as []netip.Addr) {
	u.record(func() { u.appeared = append(u.appeared, as...) })
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), what)
}
