// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	updateDurationName = "ndproxyd_update_duration_seconds"
	updateDurationHelp = "Histogram: event to published table."
)

// metrics are the figures of the daemon as a whole. The uplinks keep theirs.
type metrics struct {
	updateDuration prometheus.Histogram

	mu          sync.Mutex
	lastOK      bool
	lastSuccess time.Time
}

func newMetrics() *metrics {
	return &metrics{updateDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    updateDurationName,
		Help:    updateDurationHelp,
		Buckets: prometheus.ExponentialBuckets(1e-5, 4, 10),
	})}
}

func (m *metrics) reloaded(at time.Time, took time.Duration) {
	m.updateDuration.Observe(took.Seconds())
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastOK, m.lastSuccess = true, at
}

func (m *metrics) reloadFailed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastOK = false
}

func (m *metrics) reloadStatus() ReloadStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	return ReloadStatus{Successful: m.lastOK, LastSuccess: m.lastSuccess}
}
