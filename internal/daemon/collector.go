// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// collector makes the metrics of a daemon at each scrape.
type collector struct {
	d     *daemon
	descs *descs
}

// registry returns everything that /metrics shows.
func (d *daemon) registry() *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(
		&collector{d: d, descs: newDescs()},
		d.metrics.updateDuration,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.descs.all {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	c.d.supervisor.look(func(u *uplink) { c.uplink(ch, u, counter, gauge) })
	c.findings(gauge)

	byMethod := make(map[rules.Method]float64)
	t := c.d.supervisor.store.Load()
	if t != nil {
		for _, r := range t.Rules() {
			byMethod[r.Method]++
		}
	}
	for _, m := range rules.Methods() {
		gauge(c.descs.entries, byMethod[m], sourceConfiguration, m.String())
	}
	for _, s := range rules.Sources() {
		n := 0
		if t != nil {
			n = t.Entries(s)
		}
		gauge(c.descs.entries, float64(n), s.String(), "")
	}
	if s := c.d.clusterStatus(); s != nil {
		c.cluster(s, counter, gauge)
	}
	counter(c.descs.updates, c.d.supervisor.store.Updates())
	reload := c.d.metrics.reloadStatus()
	gauge(c.descs.reloadOK, boolValue(reload.Successful))
	gauge(c.descs.reloadTime, float64(reload.LastSuccess.UnixMilli())/1e3)
	v := c.d.options.Version
	gauge(c.descs.build, 1, v.Version, v.Revision, v.Go)
}

func (c *collector) uplink(ch chan<- prometheus.Metric, u *uplink,
	counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string),
) {
	name := u.config.Interface
	u.countDrops()
	for _, k := range ndp.Kinds() {
		counter(c.descs.received, u.counters.Received[k].Load(), name, k.String())
		counter(c.descs.answered, u.counters.Answered[k].Load(), name, k.String())
	}
	for _, r := range ndp.Reasons() {
		if r != ndp.Answered {
			counter(c.descs.ignored, u.counters.Ignored[r].Load(), name, r.String())
		}
	}
	counter(c.descs.sent, u.counters.Answered[ndp.Multicast].Load()+u.counters.Answered[ndp.Unicast].Load(), name, "solicited")
	counter(c.descs.sent, u.counters.Answered[ndp.DAD].Load(), name, "dad")
	counter(c.descs.sendErrors, u.counters.SendErrors.Load(), name)
	counter(c.descs.drops, u.counters.Drops.Load(), name)
	counter(c.descs.redirected, u.counters.Redirected.Load(), name)
	counter(c.descs.sent, u.counters.Unsolicited.Load(), name, "unsolicited")
	counter(c.descs.conflicts, u.counters.Conflicts.Load(), name)
	for _, r := range ndp.ProbeResults() {
		counter(c.descs.probes, u.counters.Probes[r].Load(), name, r.String())
	}
	count, sum, buckets := u.counters.Duration.Snapshot()
	ch <- prometheus.MustNewConstHistogram(c.descs.duration, count, sum, buckets, name)
	var m ndp.MembershipStatus
	if u.membership != nil {
		m = u.membership.Status()
	}
	gauge(c.descs.groups, float64(m.Groups), name, "join")
	gauge(c.descs.groups, boolValue(m.AllMulti), name, "allmulti")
	gauge(c.descs.ready, boolValue(u.state == Ready), name)
}

// cluster makes the metrics of Kubernetes, which are there only with it.
func (c *collector) cluster(s *ClusterStatus, counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	for _, src := range s.Sources {
		if src.Missing { // an API that the server does not have is nothing to be alarmed of
			continue
		}
		gauge(c.descs.synced, boolValue(src.Synced), src.Source)
		at := 0.0
		if !src.LastEvent.IsZero() {
			at = float64(src.LastEvent.UnixMilli()) / 1e3
		}
		gauge(c.descs.lastEvent, at, src.Source)
		gauge(c.descs.held, float64(src.Held), src.Source)
		counter(c.descs.requests, src.Lists, src.Source, "list")
		counter(c.descs.requests, src.Watches, src.Source, "watch")
	}
	if s.PrefixSource != "" {
		gauge(c.descs.prefixSource, 1, s.PrefixSource)
	}
	counter(c.descs.ownerChanges, s.OwnerChanges)
	gauge(c.descs.serviceAddresses, float64(s.ServiceAddresses))
	gauge(c.descs.owned, float64(s.OwnedAddresses))
	gauge(c.descs.announcers, float64(s.Announcers))
	gauge(c.descs.frozen, boolValue(s.Frozen))
	gauge(c.descs.standby, boolValue(s.Standby))
}

// findings inspects the host. That reads a lot, so it does without the
// supervisor's lock.
func (c *collector) findings(gauge func(*prometheus.Desc, float64, ...string)) {
	sites := make(map[string]*site)
	t := c.d.supervisor.store.Load()
	c.d.supervisor.look(func(u *uplink) {
		sites[u.config.Interface] = nil
		if t != nil {
			sites[u.config.Interface] = u.running(t.Rules())
		}
	})
	for name, at := range sites {
		var found []Finding
		if at != nil {
			at.host = hostwatch.ReadUplink(at.link)
			found = at.inspect()
		}
		for _, reason := range findingReasons() {
			gauge(c.descs.wrong, boolValue(slices.ContainsFunc(found, func(f Finding) bool { return f.Reason == reason })), name, reason)
		}
	}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
