// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/ndproxyd/ndproxyd/internal/uplink"
)

const (
	// aliveTimeout is how long the daemon's loops may take to show that they go
	// round. Loading a large table takes a fraction of it.
	aliveTimeout = 5 * time.Second
	// healthTimeout bounds each page of health. The shipped liveness probe waits
	// for six seconds.
	healthTimeout = aliveTimeout + 500*time.Millisecond
)

// maxHealth bounds the requests for health that are answered at a time.
var maxHealth = bounds{ofGroup: 16, ofClient: 4}

// health holds the pages that tell a supervisor what to do with the process.
type health struct {
	daemon Daemon
	checks singleflight.Group
}

func newHealth(d Daemon) *health { return &health{daemon: d} }

// pages returns /healthz and /readyz, which do not share their limit with any
// other handler.
func (h *health) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", h.serveAlive)
	mux.HandleFunc("GET /readyz", h.serveReady)
	return bounded(maxHealth, healthTimeout, mux)
}

// serveAlive says whether the process has to be restarted.
func (h *health) serveAlive(w http.ResponseWriter, r *http.Request) {
	if err := h.alive(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// alive checks the daemon's loops. Those who ask meanwhile share the check.
func (h *health) alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	result := h.checks.DoChan("alive", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), aliveTimeout) // who asked first may go
		defer cancel()
		return nil, h.daemon.Alive(ctx)
	})
	select {
	case r := <-result:
		return r.Err
	case <-ctx.Done():
		return errors.New("the daemon's loops do not go round")
	}
}

// serveReady says whether this node does its part, after which a rollout goes on
// to the next one.
func (h *health) serveReady(w http.ResponseWriter, r *http.Request) {
	waits, uplinks := h.daemon.Waits(), h.daemon.Uplinks()
	ready := len(waits) == 0 && h.daemon.Table() != nil && (anyReady(uplinks) || h.daemon.Idle())
	if !ready && !h.daemon.Replaced(r.Context()) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	for _, u := range uplinks {
		_, _ = fmt.Fprintln(w, u.Config.Interface, u.State, u.Why)
	}
	for _, line := range waits {
		_, _ = fmt.Fprintln(w, line)
	}
}

// anyReady reports whether an uplink answers.
func anyReady(uplinks []*uplink.Facts) bool {
	for _, u := range uplinks {
		if u.State == uplink.Ready {
			return true
		}
	}
	return false
}
