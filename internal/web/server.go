// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/task"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Daemon is what the pages show. Its methods are called by several goroutines at
// once. They read snapshots, and wait for nothing but what they say; those with a
// context return when it ends.
type Daemon interface {
	// Status is shown on the index page.
	Status(ctx context.Context) status.Status
	// Alive returns nil once the loops that answer have each gone round.
	Alive(ctx context.Context) error
	// Waits returns a line for each thing that readiness waits for apart from an
	// uplink that answers, for example "kubernetes waits for services".
	Waits() []string
	// Idle reports whether there is no uplink to answer on, and the configuration
	// takes such a node for ready.
	Idle() bool
	// Replaced reports whether a daemon waits to take the place of this one.
	Replaced(ctx context.Context) bool
	// Uplinks returns the uplinks in the order of the configuration. One that is
	// stuck holds the call up for 100 ms at most, and shows older figures.
	Uplinks() []*uplink.Facts
	// Table returns the table in force, nil before there is one.
	Table() *rules.Table
	// Updates counts the tables that were published.
	Updates() uint64
	// Cluster returns nil without Kubernetes.
	Cluster() *status.Cluster
	// Files returns what is known of the files of targets.
	Files() []status.TargetFile
	// Findings returns the reasons of the findings that hold, by interface. It
	// reads the host's settings, which may take some milliseconds.
	Findings() map[string][]string
}

// Reviewer decides whether the bearer of a token may read a page, as
// k8swatch.Reviewer does by asking the API server.
type Reviewer interface {
	Allowed(ctx context.Context, token, path string) (bool, error)
}

// Options are what a Server runs with.
type Options struct {
	Daemon  Daemon
	Figures *Figures
	// Reasons are all reasons that a finding can have.
	Reasons []string
	// Version is shown in build_info.
	Version status.Version
	Log     *slog.Logger
}

// Server serves the pages on two endpoints, one for metrics and one for health.
type Server struct {
	options         Options
	reviewer        atomic.Pointer[Reviewer] // nil for none
	metrics, health *endpoint
}

// New returns a Server without an address.
func New(o Options) *Server {
	s := &Server{options: o}
	checks := newHealth(o.Daemon)
	pages := s.metricsPages(checks)
	s.metrics = newEndpoint("metrics", maxTokenHeader, o.Log, func(e config.Endpoint) http.Handler {
		switch {
		case e.Review:
			return s.reviewed(remembered(pages))
		case e.Guarded: // exporter-toolkit authenticates before it calls us
			return remembered(pages)
		}
		return pages
	})
	s.health = newEndpoint("health", maxHeader, o.Log, func(config.Endpoint) http.Handler { return checks.pages() })
	return s
}

// Configure puts addresses in force: that of the metrics, and that of health, ""
// for none but the metrics'. The reviewer is nil unless metrics.Review is set.
func (s *Server) Configure(metrics config.Endpoint, health string, reviewer Reviewer) {
	if reviewer == nil {
		s.reviewer.Store(nil)
	} else {
		s.reviewer.Store(&reviewer)
	}
	s.metrics.set(metrics)
	s.health.set(config.Endpoint{Listen: health})
}

// Tasks returns what has to run for the pages to be served.
func (s *Server) Tasks() []task.Task { return []task.Task{s.metrics, s.health} }

// metricsPages returns the pages of the metrics endpoint. Each kind of page has a
// limit of its own.
func (s *Server) metricsPages(checks *health) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", bounded(maxScrapes, scrapeTimeout, s.scrapes()))
	mux.Handle("GET /{$}", bounded(maxScrapes, scrapeTimeout, http.HandlerFunc(s.index)))
	mux.Handle("GET /healthz", checks.pages())
	mux.Handle("GET /readyz", checks.pages())
	return mux
}
