// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/cluster"
	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/web"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// syncWait is how long uplinks get to take a new configuration over before the
// service manager is told that the daemon is ready. A stuck one is not waited
// for any longer.
const syncWait = 2 * time.Second

// load is a configuration that was read, with what was made for it.
type load struct {
	config   *config.Config
	origin   string
	begin    time.Time
	client   *k8swatch.Client   // nil where the rules need no cluster
	reviewer *k8swatch.Reviewer // nil without token reviews
	done     chan error         // the reconciler's answer
}

// reloader reads the configuration when it is asked to, which a long file would
// hold the reconciler up with. It implements [task.Task].
type reloader struct {
	d        *daemon
	loaded   chan load
	changed  <-chan struct{} // the volume of the configuration has changed
	warnings warnings
}

// String implements [task.Task].
func (r *reloader) String() string { return "reloads" }

// Ready implements [task.Task].
func (r *reloader) Ready() error { return nil }

// Run implements [task.Task]. A request that comes during a reload is kept for
// after it.
func (r *reloader) Run(ctx context.Context) error {
	r.finish(ctx) // the start
	r.sayReady(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.d.options.Reload:
		case <-r.changed:
		}
		r.d.manager.Reloading()
		if r.reload(ctx) {
			r.finish(ctx)
		}
		r.sayReady(ctx) // whatever became of it, the reload is over
	}
}

// reload puts a new configuration in force, or keeps the old one and returns false
// when the new one is wrong.
func (r *reloader) reload(ctx context.Context) bool {
	l, err := r.d.read()
	if err == nil {
		defer r.preload(ctx, l)()
		select {
		case r.loaded <- l:
			err = <-l.done
		case <-ctx.Done():
			return false
		}
	}
	if err != nil {
		r.d.figures.ReloadFailed()
		r.d.log.Error("reload failed, the old configuration stays in force", "config", r.d.options.Origin(), "err", err)
	}
	return err == nil
}

// preload reads the files that the rules of a configuration name before it holds, so
// that no target is missing when it does. It returns a function to call after that.
func (r *reloader) preload(ctx context.Context, l load) (done func()) {
	ctx, cancel := context.WithTimeout(ctx, syncWait)
	defer cancel()
	return r.d.targets.Preload(ctx, l.config.Rules)
}

// read reads the configuration, and makes what needs files or can fail.
func (d *daemon) read() (load, error) {
	l := load{begin: time.Now(), done: make(chan error, 1)}
	var err error
	if l.config, err = d.options.Load(); err != nil {
		return load{}, err
	}
	l.origin = d.options.Origin()
	return l, d.prepare(&l)
}

// prepare makes what a configuration needs, of which nothing is in force yet. It
// reads files, and is never called by the reconciler.
func (d *daemon) prepare(l *load) error {
	if _, err := rules.Compile(discover.Fixed(l.config.Rules)); err != nil {
		return err
	}
	var err error
	if l.client, err = cluster.Connect(l.config, d.options.Version.Version); err != nil {
		return err
	}
	l.reviewer, err = d.connectReviewer(l.config, l.client)
	return err
}

// takeOver puts a configuration in force that was prepared. After an error the old
// one holds.
func (d *daemon) takeOver(l load) error {
	before := d.reconciler.config.Swap(l.config)
	if err := d.reconciler.reconcile(true); err != nil {
		d.reconciler.config.Store(before)
		if before != nil { // the uplinks have got the new settings
			err = errors.Join(err, d.reconciler.reconcile(true))
		}
		return err
	}
	d.cluster.Configure(l.config, l.client)
	d.reconciler.changed() // with what the cluster is known to have
	d.setReviewer(l.config, l.reviewer)
	d.origin.Store(&l.origin)
	d.figures.Reloaded(time.Now(), time.Since(l.begin))
	for _, w := range l.config.Warnings {
		d.log.Warn("configuration", "note", w)
	}
	return nil
}

// connectReviewer returns who reviews tokens for a configuration, nil for nobody.
// What the one before has learned is kept, where it asks the same server.
func (d *daemon) connectReviewer(cfg *config.Config, client *k8swatch.Client) (*k8swatch.Reviewer, error) {
	if !cfg.Metrics.Review {
		return nil, nil
	}
	if client == nil { // the rules need no cluster
		var err error
		if client, err = cluster.Dial(cfg, d.options.Version.Version); err != nil {
			return nil, err
		}
	}
	if d.reviewer != nil && d.reviewer.Uses(client) {
		return d.reviewer, nil
	}
	return client.NewReviewer(), nil
}

// setReviewer shows the pages where the configuration wants them, and to whom.
func (d *daemon) setReviewer(cfg *config.Config, r *k8swatch.Reviewer) {
	d.reviewer = r
	var reviewer web.Reviewer // not a nil pointer in an interface
	if r != nil {
		reviewer = r
	}
	d.web.Configure(cfg.Metrics, cfg.HealthListen, reviewer)
}

// finish logs what is in force, once the uplinks have taken it over and the rules that
// follow them are made: before that, rules that hold a moment later would be missed.
func (r *reloader) finish(ctx context.Context) {
	synced, cancel := context.WithTimeout(ctx, syncWait)
	defer cancel()
	if err := r.syncUplinks(synced); err != nil && ctx.Err() == nil {
		r.d.log.Warn("an uplink has not taken the configuration over yet", "err", err)
	}
	r.d.reconciler.complete.Store(true)
	r.d.reconciler.settle(ctx)
	if ctx.Err() != nil {
		return
	}
	names := r.d.reconciler.names()
	r.d.log.Info("configuration loaded", "config", *r.d.origin.Load(), "uplinks", names, "rules", len(r.d.store.Load().Rules()))
	if len(names) == 0 {
		r.d.log.Warn("waiting for an uplink", "why", r.d.noUplink())
	}
	if len(r.d.store.Load().Rules()) == 0 {
		r.d.inspector.logNothing()
	}
	for _, fault := range r.d.reconciler.config.Load().StrayUplinks(names) {
		r.d.log.Warn("a rule names an interface that is no uplink: it holds nowhere until that is one", "rule", fault.Error())
	}
	r.warnings.log(r.d.log, r.d.inspector.Findings())
}

// syncUplinks waits until the uplinks have looked at their interfaces and show what
// they saw. They show it after the round in which a call is handled, so the second call
// comes back after that.
func (r *reloader) syncUplinks(ctx context.Context) error {
	if err := r.d.uplinks.Sync(ctx); err != nil {
		return err
	}
	return r.d.uplinks.Sync(ctx)
}

// sayReady tells the service manager that the start or a reload is over.
// What was read takes more memory than what it comes to, so the rest is given back
// when all have taken it over.
func (r *reloader) sayReady(ctx context.Context) {
	if ctx.Err() == nil {
		r.d.manager.Ready(r.d.summary())
		debug.FreeOSMemory()
	}
}
