// SPDX-License-Identifier: Apache-2.0

package web

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ndproxyd/ndproxyd/internal/status"
)

const (
	updateDurationName = "ndproxyd_update_duration_seconds"
	updateDurationHelp = "Histogram of the time from an event to the table that takes it into account."
)

// Figures are the metrics of the daemon as a whole: how long updates take, and
// how reloads went. Each uplink keeps its own. Any goroutine may use them.
type Figures struct {
	updateDuration prometheus.Histogram

	mu     sync.Mutex
	reload status.Reload
}

// NewFigures returns figures of a daemon that has not loaded anything yet.
func NewFigures() *Figures {
	return &Figures{updateDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    updateDurationName,
		Help:    updateDurationHelp,
		Buckets: prometheus.ExponentialBuckets(1e-5, 4, 10),
	})}
}

// Updated counts a table that was published so long after its cause.
func (f *Figures) Updated(took time.Duration) { f.updateDuration.Observe(took.Seconds()) }

// Reloaded notes that the configuration was loaded, and how long that took.
func (f *Figures) Reloaded(at time.Time, took time.Duration) {
	f.Updated(took)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reload = status.Reload{Successful: true, LastSuccess: at}
}

// ReloadFailed notes that the configuration could not be loaded.
func (f *Figures) ReloadFailed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reload.Successful = false
}

// Reload returns how the last load of the configuration went.
func (f *Figures) Reload() status.Reload {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reload
}
