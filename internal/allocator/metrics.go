// SPDX-License-Identifier: Apache-2.0

package allocator

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what an operator follows: whether somebody leads, how full the pools are,
// and how many services go without.
type metrics struct {
	registry *prometheus.Registry
	leader   prometheus.Gauge
	assigned *prometheus.GaugeVec
	without  prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		leader:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "ndproxyd_allocator_leader", Help: "1 where this process assigns addresses."}),
		assigned: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ndproxyd_allocator_assigned_addresses", Help: "Addresses of a pool that services have.",
		}, []string{"pool"}),
		without: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ndproxyd_allocator_services_without_address", Help: "Services that get no address; their Events say why.",
		}),
	}
	m.registry.MustRegister(m.leader, m.assigned, m.without)
	return m
}

func (m *metrics) show(used map[string]int, without int) {
	for pool, n := range used {
		m.assigned.WithLabelValues(pool).Set(float64(n))
	}
	m.without.Set(float64(without))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
