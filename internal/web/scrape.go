// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/singleflight"
)

// scrapeTimeout bounds how long a scrape, and the index page, may take.
const scrapeTimeout = 8 * time.Second

// maxScrapes bounds the scrapes that are answered at a time.
var maxScrapes = bounds{ofGroup: 4, ofClient: 2}

// scrapes returns the page of the metrics. Scrapes at the same time share what is
// gathered.
func (s *Server) scrapes() http.Handler {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(
		newCollector(s.options),
		s.options.Figures.updateDuration,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(prometheus.GathererFunc(shared(r.Gather)), promhttp.HandlerOpts{})
}

// shared returns f, but those who call it while it runs get the result of that
// run. They must not change it.
func shared[T any](f func() (T, error)) func() (T, error) {
	var g singleflight.Group
	return func() (T, error) {
		v, err, _ := g.Do("", func() (any, error) { return f() })
		return v.(T), err
	}
}
