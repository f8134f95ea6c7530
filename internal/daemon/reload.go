// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// load is a configuration that was read, or why it could not be.
type load struct {
	config *config.Config
	err    error
	begin  time.Time
}

// load reads the configuration beside the loop, which a long file would hold up.
func (d *daemon) load(ctx context.Context, to chan<- load) {
	l := load{begin: time.Now()}
	l.config, l.err = d.options.Load()
	select {
	case to <- l:
	case <-ctx.Done():
	}
}

// reload puts a new configuration in force, or keeps the old one when the new
// one is wrong.
func (d *daemon) reload(l load) {
	err := l.err
	if err == nil {
		err = d.apply(l.config, l.begin)
	}
	if err != nil {
		d.metrics.reloadFailed()
		d.log.Error("reload failed, the old configuration stays in force", "config", d.options.Origin, "err", err)
	}
}

// apply puts a configuration in force.
func (d *daemon) apply(cfg *config.Config, begin time.Time) error {
	client, err := connect(cfg, d.options.Version)
	if err != nil {
		return err
	}
	reviewer, err := d.connectReviewer(cfg, client)
	if err != nil {
		return err
	}
	if err := d.supervisor.apply(cfg); err != nil {
		return err
	}
	d.setCluster(cfg, client)
	d.reviewer.Store(reviewer)
	d.supervisor.prober.tell(probeNews{rules: true})
	d.metricsPage.set(cfg.Metrics)
	d.healthPage.set(config.Endpoint{Listen: cfg.HealthListen})
	d.metrics.reloaded(time.Now(), time.Since(begin))
	for _, w := range cfg.Warnings {
		d.log.Warn("configuration", "note", w)
	}
	d.supervisor.logLoaded(d.options.Origin)
	go debug.FreeOSMemory() // what was read takes more memory than what it comes to
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
		if client, err = dial(cfg, d.options.Version); err != nil {
			return nil, err
		}
	}
	if old := d.reviewer.Load(); old != nil && old.Uses(client) {
		return old, nil
	}
	return client.NewReviewer(), nil
}
