// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/internal/cluster"
	"github.com/ndproxyd/ndproxyd/internal/consume"
	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/kernel"
	"github.com/ndproxyd/ndproxyd/internal/probe"
	"github.com/ndproxyd/ndproxyd/internal/process"
	"github.com/ndproxyd/ndproxyd/internal/targets"
	"github.com/ndproxyd/ndproxyd/internal/task"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/internal/web"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// daemon is one running instance: its parts, and what they share.
type daemon struct {
	options  Options
	pins     string // the folder of bpffs that programs are pinned in
	log      *slog.Logger
	started  time.Time
	origin   atomic.Pointer[string] // of the configuration in force
	trouble  *task.Trouble
	complete atomic.Bool        // was ready once
	pulse    chan chan struct{} // the reconciler has to show that it runs, see Alive

	store    *rules.Store
	routes   *hostwatch.Routes
	judge    *behind.Judge
	evidence *kernel.Evidence
	uplinks  *uplink.Set
	prober   *probe.Prober
	targets  *targets.Follower
	cluster  *cluster.Manager
	keeper   *consume.Keeper

	reconciler *reconciler
	removal    *removal
	reloads    *reloader
	manager    *process.Notifier
	figures    *web.Figures
	web        *web.Server
	reviewer   *k8swatch.Reviewer // nil without token reviews
	inspector  *inspector
	group      *task.Group
}

// Run answers solicitations until ctx ends, and returns nil then. It fails at
// start only: with the loader's error, or with one that wraps [ErrPrivilege],
// [process.ErrRunning] or [cluster.ErrKubernetes]. An uplink that is missing or
// unusable is waited for.
func Run(ctx context.Context, o Options) error {
	volume := newConfigVolume(o.File) // before the file is read
	first := load{begin: time.Now()}
	var err error
	if first.config, err = o.Load(); err != nil {
		return err
	}
	first.origin = o.Origin()
	if err := ndp.CheckPrivilege(); err != nil {
		if errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("%w: %w", ErrPrivilege, err)
		}
		return err
	}
	unlock, err := process.Lock(ctx, process.Options{Name: o.Name, Predecessor: o.Predecessor, Log: o.Log})
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	defer unlock() // after the sockets are closed
	watcher, err := hostwatch.WatchRetry(ctx, func(err error) {
		o.Log.Warn("the kernel's routes cannot be read yet, which is tried again", "err", err)
	})
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	d := build(o, watcher, volume, first.config.FastPathDirectory)
	if err = d.prepare(&first); err == nil {
		err = d.takeOver(first)
	}
	if err != nil {
		watcher.Close()
		return err
	}
	context.AfterFunc(ctx, d.manager.Stopping)
	gone := d.removal.follows(ctx)
	err = d.group.Run(ctx)
	if gone() {
		d.detach()
	}
	o.Log.Info("stopped")
	return err
}

// build makes the parts, in the order in which they need each other. pins is the folder
// of bpffs that programs are pinned in.
func build(o Options, watcher *hostwatch.Watcher, volume *configVolume, pins string) *daemon {
	d := &daemon{
		options: o, pins: pins, log: o.Log, started: time.Now(), trouble: task.NewTrouble(o.Log), pulse: make(chan chan struct{}),
		store: new(rules.Store), routes: watcher.Routes,
		manager: process.NewNotifier(o.Manager, o.Log), figures: web.NewFigures(),
	}
	d.judge = behind.New(d.routes)
	d.store.ResolveDevices(d.routes.Index)
	d.store.ResolveLinks(d.judge.SharesLink)
	d.reconciler = newReconciler(d)
	d.removal = newRemoval(d)
	d.reloads = &reloader{d: d, loaded: make(chan load), changed: volume.changed}
	d.prober = probe.New(probe.Config{
		Store: d.store, Devices: d.routes, Wires: probe.KernelWires{Routes: d.routes}, Log: o.Log,
		ReadLink:  func(index int) (rules.Link, error) { return hostwatch.ReadLink("", index) },
		Open:      func() (probe.Socket, error) { return ndp.OpenProbeSocket() },
		Neighbors: hostwatch.ReadNeighbors,
	})
	d.targets = targets.New(targets.Options{Store: d.store, Log: o.Log, Observe: d.figures.Updated})
	d.cluster = cluster.New(cluster.Options{
		Store: d.store, Uplinks: clusterUplinks{d}, Log: o.Log,
		Holder: k8swatch.NewHolder(fmt.Sprint(os.Getpid())), Observe: d.figures.Updated, Changed: d.reconciler.changed,
	})
	d.uplinks = uplink.NewSet(uplink.Options{
		Store: d.store, System: uplink.Kernel{Watcher: watcher, FastPath: fastpath.Options{Directory: pins, Log: o.Log}}, Changed: d.reconciler.changed, Ask: d.prober.Ask, Cluster: d.cluster, Log: o.Log,
	})
	d.evidence = kernel.New(d.judge, d.store, d.uplinks.Appeared)
	d.keeper = consume.NewKeeper(func() (consume.Setter, error) { return consume.Open() }, d.reconciler.changed, o.Log)
	d.inspector = newInspector(d)
	d.web = web.New(web.Options{Daemon: pages{d}, Figures: d.figures, Reasons: inspect.Reasons(), Version: o.Version, Log: o.Log})
	// Who needs others ends before them: service addresses are handed over while
	// the uplinks still answer, and the pages go first.
	tasks := []task.Task{
		d.uplinks, d.keeper, d.prober, d.targets, &follower{d, watcher}, d.reconciler, d.cluster,
		control.New(control.Options{Address: o.Control, Daemon: d, Log: o.Log}),
	}
	tasks = append(tasks, d.web.Tasks()...)
	d.group = task.NewGroup(o.Log, append(tasks, d.reloads, d.removal, newSettler(d), volume, d.manager.NewWatchdog(d.Alive))...)
	return d
}
