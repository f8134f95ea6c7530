// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/cluster"
	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/internal/task"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// removalWait is how long a daemon that stops waits for word of its DaemonSet, from the
// signal on. The rest of the stop goes on meanwhile.
const removalWait = time.Second

// removal tells the end of a pod that another one follows from the end of its DaemonSet,
// after which nobody comes to take over what is pinned. Whoever cannot know takes the former
// for granted. It implements [task.Task].
type removal struct {
	// ask asks for the DaemonSet; nil for a daemon that has none.
	ask    func(context.Context) (k8swatch.Presence, error)
	set    string // its name
	log    *slog.Logger
	pinned chan struct{} // closed when something stays after the daemon
	shown  bool          // pinned is closed; of the reconciler
	may    atomic.Bool   // the DaemonSet could be read once
}

// newRemoval returns the removal of a daemon.
func newRemoval(d *daemon) *removal {
	r := &removal{set: d.options.DaemonSet, log: d.log, pinned: make(chan struct{})}
	namespace, name, ok := strings.Cut(d.options.DaemonSet, "/")
	if !ok {
		return r
	}
	var client *k8swatch.Client
	r.ask = func(ctx context.Context) (k8swatch.Presence, error) {
		cfg := d.reconciler.config.Load()
		if cfg.Kubernetes == nil {
			return k8swatch.Refused, nil
		}
		if client == nil {
			var err error
			if client, err = cluster.Dial(cfg, d.options.Version.Version); err != nil {
				return k8swatch.Refused, err
			}
		}
		return client.DaemonSet(ctx, namespace, name)
	}
	return r
}

// String implements [task.Task].
func (*removal) String() string { return "DaemonSet" }

// Ready implements [task.Task]: nothing waits for it.
func (*removal) Ready() error { return nil }

// Run implements [task.Task]. It asks once whether the DaemonSet may be read: a refusal at
// the end tells something only after that.
func (r *removal) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-r.pinned:
	}
	for retry := new(task.Backoff); r.ask != nil; {
		presence, err := r.ask(ctx)
		if err == nil {
			r.learn(presence)
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry.Next()):
		}
	}
	<-ctx.Done()
	return nil
}

// learn takes the first answer.
func (r *removal) learn(p k8swatch.Presence) {
	if p == k8swatch.Present {
		r.may.Store(true)
		r.log.Info("what is pinned in the kernel goes with the DaemonSet " + r.set)
		return
	}
	r.log.Info("what is pinned in the kernel stays without the DaemonSet " + r.set + ", which this pod may not read")
}

// look looks whether something stays after the daemon. Only the reconciler calls it.
func (r *removal) look(facts []*uplink.Facts) {
	for _, f := range facts {
		if !r.shown && f.Path.Pinned != "" {
			r.shown = true
			close(r.pinned)
		}
	}
}

// follows has the DaemonSet be asked for when ctx ends, beside all else that ends then. The
// function that it returns is called at the end, and reports whether the DaemonSet is gone.
func (r *removal) follows(ctx context.Context) (gone func() bool) {
	answer := make(chan bool, 1)
	unasked := context.AfterFunc(ctx, func() { answer <- r.gone() })
	return func() bool { return !unasked() && <-answer }
}

// gone asks whether the DaemonSet is gone.
func (r *removal) gone() bool {
	if !r.may.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), removalWait)
	defer cancel()
	presence, err := r.ask(ctx)
	if err != nil {
		r.log.Info("whether the DaemonSet is gone could not be asked: what is pinned stays for the next daemon", "err", err)
		return false
	}
	why := ""
	switch presence {
	case k8swatch.Present:
		return false
	case k8swatch.Deleted:
		why = "the DaemonSet is deleted"
	case k8swatch.Refused:
		why = "the DaemonSet may not be read any more"
	case k8swatch.Unknown:
		why = "the pod's account is not known any more"
	}
	r.log.Info("no daemon follows: what is pinned is removed", "why", why)
	return true
}

// detach removes all that is pinned in this network namespace. Everything else of the daemon
// has ended, but its lock.
func (d *daemon) detach() {
	removed, err := fastpath.Detach(fastpath.DetachOptions{
		Directory: d.pins,
		Daemon:    func() (string, func(string) bool) { return "", nil }, // but this one
	})
	for _, what := range removed {
		d.log.Info("removed from the kernel", "what", what)
	}
	if err != nil {
		d.log.Warn("something stays in the kernel", "err", err)
	}
}
