// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/cluster"
	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// follower passes on what the kernel tells. It implements [task.Task].
type follower struct {
	d       *daemon
	watcher *hostwatch.Watcher
}

// String implements [task.Task].
func (f *follower) String() string { return "kernel's routes" }

// Ready implements [task.Task]: the routes were read before anything runs.
func (f *follower) Ready() error { return nil }

// Run implements [task.Task]. None of the functions that it calls blocks.
func (f *follower) Run(ctx context.Context) error {
	return f.watcher.Run(ctx, hostwatch.Handler{Link: f.link, Routes: f.routes, Neighbor: f.d.prober.Neighbor, Failed: f.failed})
}

func (f *follower) link(e hostwatch.Event) {
	f.d.uplinks.LinkChanged(e)
	if e.What == hostwatch.WhatStations { // on which nothing else depends
		return
	}
	f.d.prober.DeviceChanged(e.Index)
	f.d.reconciler.changed()
}

// failed says what could not be read, which is tried again.
func (f *follower) failed(err error) { f.d.trouble.Report("follow the kernel", err) }

func (f *follower) routes(prefixes []netip.Prefix, all bool) {
	begin := time.Now()
	f.d.evidence.RoutesChanged(prefixes, all)
	runtime.Gosched() // the uplinks take the table over before anything else is done here
	f.d.figures.Updated(time.Since(begin))
	f.d.prober.RoutesChanged(prefixes, all)
	f.d.reconciler.changed()
}

// clusterUplinks is what package cluster sees of the uplinks.
type clusterUplinks struct{ d *daemon }

// Links implements [cluster.Uplinks].
func (c clusterUplinks) Links() []cluster.Link {
	var links []cluster.Link
	for _, f := range c.d.uplinks.Facts() {
		if f.State == uplink.Ready {
			hops := c.d.routes.HopsOf(f.Link.Index)
			links = append(links, cluster.Link{
				Name: f.Config.Interface, MAC: f.Link.MAC,
				OnLink: rules.OnLink(f.Link, hops.OnLink), Addresses: reachable(f.Link), Routers: hops.Default,
			})
		}
	}
	return links
}

// reachable returns the addresses of a link that stations of other links may reach, in
// order, also those whose duplicate address detection has not ended.
func reachable(l rules.Link) []netip.Addr {
	var all []netip.Addr
	for _, a := range l.Addresses {
		if a.Prefix.Addr().IsGlobalUnicast() {
			all = append(all, a.Prefix.Addr())
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// Ask implements [cluster.Uplinks].
func (c clusterUplinks) Ask(target netip.Addr, station [6]byte) { c.d.uplinks.Ask(target, station) }

// SetPresence implements [cluster.Uplinks].
func (c clusterUplinks) SetPresence(own netip.Addr, witnessed []netip.Addr) {
	c.d.uplinks.SetPresence(own, witnessed)
}

// Appeared implements [cluster.Uplinks].
func (c clusterUplinks) Appeared(addresses []netip.Addr) { c.d.uplinks.Appeared(addresses) }

// pages is what package web shows of the daemon.
type pages struct{ d *daemon }

// Status implements [web.Daemon].
func (p pages) Status(ctx context.Context) status.Status { return p.d.Status(ctx) }

// Alive implements [web.Daemon].
func (p pages) Alive(ctx context.Context) error { return p.d.Alive(ctx) }

// Idle implements [web.Daemon].
func (p pages) Idle() bool { return p.d.idle() }

// Replaced implements [web.Daemon].
func (p pages) Replaced(ctx context.Context) bool { return p.d.replaced(ctx) }

// Waits implements [web.Daemon]: one line for each thing that is waited for.
func (p pages) Waits() []string {
	var waits []string
	for _, w := range p.d.group.Waiting() {
		switch w.Task {
		case p.d.uplinks.String(): // the page tells of them itself
		case p.d.cluster.String():
			for _, what := range p.d.cluster.Waits() {
				waits = append(waits, w.Task+" waits for "+what)
			}
		default:
			waits = append(waits, w.Task+" waits for "+w.For)
		}
	}
	return waits
}

// Uplinks implements [web.Daemon].
func (p pages) Uplinks() []*uplink.Facts {
	p.d.uplinks.CountDrops(context.Background())
	return p.d.uplinks.Facts()
}

// Table implements [web.Daemon].
func (p pages) Table() *rules.Table { return p.d.store.Load() }

// Updates implements [web.Daemon].
func (p pages) Updates() uint64 { return p.d.store.Updates() }

// Cluster implements [web.Daemon].
func (p pages) Cluster() *status.Cluster { return p.d.cluster.Status() }

// Files implements [web.Daemon].
func (p pages) Files() []status.TargetFile { return p.d.files() }

// Findings implements [web.Daemon].
func (p pages) Findings() map[string][]string {
	found := make(map[string][]string)
	for _, f := range p.d.inspector.Findings() {
		if f.Severity == inspect.Warning {
			found[f.Interface] = append(found[f.Interface], f.Reason)
		}
	}
	return found
}

// Feeds implements [control.Daemon].
func (d *daemon) Feeds() []control.Feed {
	var feeds []control.Feed
	for _, f := range d.uplinks.Facts() {
		feeds = append(feeds, control.Feed{Interface: f.Config.Interface, Recent: f.Recent})
	}
	return feeds
}

// defaults returns the devices with an IPv6 default route.
func (d *daemon) defaults() []discover.DefaultDevice {
	var out []discover.DefaultDevice
	for _, dev := range d.routes.DefaultDevices() {
		out = append(out, discover.DefaultDevice{Name: dev.Name, Ethernet: dev.Neighbors})
	}
	return out
}

// noUplink says in one sentence why there is no uplink.
func (d *daemon) noUplink() string {
	return discover.Overview{NoIPv6: hostwatch.IPv6Off(), Defaults: d.defaults()}.NoUplink()
}

// summary is one line about the uplinks, for people who ask the service manager.
func (d *daemon) summary() string {
	var parts []string
	for _, f := range d.uplinks.Facts() {
		if f.State == uplink.Ready {
			parts = append(parts, "answering on "+f.Config.Interface)
		} else {
			parts = append(parts, "waiting for "+f.Config.Interface+": "+f.Why)
		}
	}
	if len(parts) == 0 {
		parts = []string{"waiting for an uplink: " + d.noUplink()}
	}
	if !d.figures.Reload().Successful {
		parts = append(parts, "the last reload failed, and the configuration before it is in force")
	}
	return strings.Join(parts, "; ")
}

// discoverable returns what rules are discovered from.
func (d *daemon) discoverable() []discover.Uplink {
	var ups []discover.Uplink
	for _, f := range d.uplinks.Facts() {
		u := discover.Uplink{
			Interface: f.Config.Interface, Link: d.reconciler.linkOf(f),
		}
		u.Forwards, u.OnLinkRoutes = hostwatch.Forwards(u.Link.Name), d.routes.HopsOf(u.Link.Index).OnLink
		if !u.Forwards {
			u.Own = d.judge.From(u.Interface, 0).Own(rules.OnLink(u.Link, u.OnLinkRoutes))
		}
		ups = append(ups, u)
	}
	return ups
}

// aliveTimeout is how long the daemon's loops may take to show that they run. A
// load of a large table takes a fraction of it.
const aliveTimeout = 5 * time.Second

// Alive makes the reconciler, each uplink's task and each receive loop go round
// once, and returns nil when all have. What it asks for is work that an answer
// needs as well, so it tells more than a ticker would.
func (d *daemon) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	round := make(chan struct{})
	select {
	case d.pulse <- round:
	case <-ctx.Done():
		return fmt.Errorf("the reconciler does not go round: %w", ctx.Err())
	}
	<-round
	return d.uplinks.Alive(ctx)
}
