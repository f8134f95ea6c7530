// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// ErrPrivilege is wrapped by the error of a daemon that may not open packet
// sockets.
var ErrPrivilege = errors.New("missing CAP_NET_RAW")

// ErrKubernetes is wrapped by the error of a daemon whose kubeconfig is wrong.
var ErrKubernetes = errors.New("cannot use the kubernetes configuration")

// Options are what a daemon runs with.
type Options struct {
	// Load returns the configuration. It is called at start and on each reload.
	Load func() (*config.Config, error)
	// Origin names where the configuration comes from, for logs and status.
	Origin string
	// Reload asks for a reload each time something is received.
	Reload <-chan os.Signal
	// Control is the address of the control socket, "" for none. A leading @
	// stands for an abstract socket of the network namespace.
	Control string
	// Manager is what supervises the process.
	Manager Manager
	// Name tells a second daemon on the host who is there before it.
	Name string
	// Version is shown in status and in build_info.
	Version Version
	// Log receives one line for each change of state.
	Log *slog.Logger
}

// Run answers solicitations until ctx ends, and returns nil then. It fails at
// start only: with the loader's error, or with one that wraps [ErrPrivilege].
// An uplink that is missing or unusable is waited for.
func Run(ctx context.Context, o Options) error {
	cfg, err := o.Load()
	if err != nil {
		return err
	}
	if err := ndp.CheckPrivilege(); err != nil {
		if errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("%w: %w", ErrPrivilege, err)
		}
		return err
	}
	d := &daemon{
		options:  o,
		log:      o.Log,
		started:  time.Now(),
		metrics:  newMetrics(),
		clusters: make(chan struct{}, 1),
		pulse:    make(chan chan<- []*ndp.Listener),
		holder:   k8swatch.NewHolder(fmt.Sprint(os.Getpid())),
	}
	unlock, err := d.lock(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	defer unlock() // after the sockets are closed
	watcher, err := hostwatch.WatchRetry(ctx, func(err error) { d.log.Warn("reading the network failed", "err", err) })
	if err != nil {
		return err
	}
	d.supervisor = newSupervisor(o.Log, new(rules.Store), watcher.Routes)
	d.supervisor.stations = watcher.Stations
	d.supervisor.observe = func(t time.Duration) { d.metrics.updateDuration.Observe(t.Seconds()) }
	defer d.supervisor.close()
	d.supervisor.cleanWires()
	if err := d.apply(cfg, time.Now()); err != nil {
		watcher.Close()
		return err
	}
	d.tellReady()
	g, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, func() { d.tell("STOPPING=1") })
	g.Go(func() error {
		return watcher.Run(ctx, hostwatch.Handler{Link: d.linkChanged, Routes: d.routesChanged, Neighbor: d.supervisor.prober.neighbor, Failed: func(err error) { d.log.Warn("reading the network failed", "err", err) }})
	})
	g.Go(func() error { return d.supervisor.prober.run(ctx) })
	g.Go(func() error { return d.loop(ctx) })
	g.Go(func() error { return d.followClusters(ctx) })
	g.Go(func() error { return d.trimAfterStart(ctx) })
	g.Go(func() error {
		open := d.metricsHandler()
		return d.servePage(ctx, "metrics", &d.metricsPage, func(e config.Endpoint) http.Handler {
			if e.Review {
				return d.reviewed(open)
			}
			return open
		})
	})
	g.Go(func() error {
		return d.servePage(ctx, "health", &d.healthPage, func(config.Endpoint) http.Handler { return d.healthHandler() })
	})
	g.Go(func() error { return d.serveControl(ctx) })
	g.Go(func() error { return d.watchdog(ctx) })
	err = g.Wait()
	d.log.Info("stopped")
	return err
}

// startTime is how long a start takes at most, give or take.
const startTime = 2 * time.Second

// trimAfterStart gives back what was for the start.
func (d *daemon) trimAfterStart(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(startTime):
	}
	if err := trim(); err != nil {
		d.log.Debug("memory of the start is kept", "err", err)
	}
	return nil
}

// daemon is one running instance.
type daemon struct {
	options     Options
	log         *slog.Logger
	started     time.Time
	supervisor  *supervisor
	metrics     *metrics
	metricsPage page
	healthPage  page
	reviewer    atomic.Pointer[k8swatch.Reviewer] // nil without Kubernetes
	holder      string                            // names this process in its lease
	clusters    chan struct{}                     // another cluster is to be followed
	pulse       chan chan<- []*ndp.Listener       // the loop has to show that it runs, see alive
	told        string                            // the summary that the manager has; the loop's
}

// loop is the supervisor's goroutine.
func (d *daemon) loop(ctx context.Context) error {
	defer d.supervisor.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	loads := make(chan load)
	loading, again := false, false // a configuration is read, and has to be once more
	for {
		if wait, ok := d.supervisor.arm(); ok {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		d.tellStatus()
		select {
		case <-ctx.Done():
			return nil
		case shown := <-d.pulse:
			shown <- d.supervisor.listeners()
		case e := <-d.supervisor.events:
			d.supervisor.handle(e)
		case g := <-d.supervisor.sightings:
			d.supervisor.sight(g)
		case <-timer.C:
			d.supervisor.doDuties()
		case <-d.supervisor.wake:
		case <-d.options.Reload:
			again = loading
			if !loading {
				loading = true
				d.tellReloading()
				go d.load(ctx, loads)
			}
		case l := <-loads:
			d.reload(l)
			if loading = again; again {
				again = false
				go d.load(ctx, loads)
			} else {
				d.tellReady()
			}
		}
	}
}

// routesChanged follows the kernel's routes.
func (d *daemon) routesChanged(prefixes []netip.Prefix, all bool) {
	begin := time.Now()
	d.supervisor.routesChanged(prefixes, all)
	d.supervisor.observe(time.Since(begin))
	d.supervisor.prober.tell(probeNews{prefixes: prefixes, all: all})
}

// linkChanged follows the kernel's interfaces.
func (d *daemon) linkChanged(e hostwatch.Event) {
	d.supervisor.notify(e)
	d.supervisor.prober.tell(probeNews{link: true, device: int32(e.Index)}) //nolint:gosec // an index
}
