// SPDX-License-Identifier: Apache-2.0

package web

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// collector makes the metrics of a daemon at each scrape.
type collector struct {
	options      Options
	descriptions *descriptions
}

func newCollector(o Options) *collector {
	return &collector{options: o, descriptions: newDescriptions()}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.descriptions.all {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	out := sink(ch)
	uplinks := c.options.Daemon.Uplinks()
	for _, u := range uplinks {
		c.uplink(out, u)
		c.fastPath(out, u)
	}
	c.findings(out, uplinks)
	c.table(out)
	for _, f := range c.options.Daemon.Files() {
		out.gauge(c.descriptions.fileTargets, float64(f.Targets), f.Path)
		out.gauge(c.descriptions.fileFaults, float64(f.Faults), f.Path)
		out.gauge(c.descriptions.fileReadable, number(f.Readable), f.Path)
	}
	if s := c.options.Daemon.Cluster(); s != nil {
		c.cluster(out, s)
	}
	reload := c.options.Figures.Reload()
	out.gauge(c.descriptions.reloadOK, number(reload.Successful))
	out.gauge(c.descriptions.reloadTime, seconds(reload.LastSuccess))
	v := c.options.Version
	out.gauge(c.descriptions.build, 1, v.Version, v.Revision, v.Go)
}

// sink takes the metrics of one scrape.
type sink chan<- prometheus.Metric

func (s sink) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// uplink makes the metrics of an uplink.
func (c *collector) uplink(out sink, u *uplink.Facts) {
	d, name, counters := c.descriptions, u.Config.Interface, u.Counters
	for _, k := range ndp.Kinds() {
		out.counter(d.received, counters.Received[k].Load(), name, k.String())
		out.counter(d.answered, counters.Answered[k].Load(), name, k.String())
	}
	for _, r := range ndp.Reasons() {
		if r != ndp.Answered {
			out.counter(d.ignored, counters.Ignored[r].Load(), name, r.String())
		}
	}
	out.counter(d.sent, counters.Answered[ndp.Multicast].Load()+counters.Answered[ndp.Unicast].Load(), name, "solicited")
	out.counter(d.sent, counters.Answered[ndp.DAD].Load(), name, "dad")
	out.counter(d.sent, counters.Answered[ndp.Presence].Load(), name, "presence")
	out.counter(d.sent, counters.Unsolicited.Load(), name, "unsolicited")
	out.counter(d.sendErrors, counters.SendErrors.Load(), name)
	out.counter(d.drops, counters.Drops.Load(), name)
	out.counter(d.redirected, counters.Redirected.Load(), name)
	out.counter(d.conflicts, counters.Conflicts.Load(), name)
	for _, r := range ndp.ProbeResults() {
		out.counter(d.probes, counters.Probes[r].Load(), name, r.String())
	}
	count, sum, buckets := counters.Duration.Snapshot()
	out <- prometheus.MustNewConstHistogram(d.duration, count, sum, buckets, name)
	out.gauge(d.groups, float64(u.Membership.Groups), name, "join")
	out.gauge(d.groups, number(u.Membership.AllMulti), name, "allmulti")
	out.gauge(d.ready, number(u.State == uplink.Ready), name)
}

// findings makes a metric for each reason on each uplink, whether it holds or not.
func (c *collector) findings(out sink, uplinks []*uplink.Facts) {
	found := c.options.Daemon.Findings()
	for _, u := range uplinks {
		for _, reason := range c.options.Reasons {
			holds := slices.Contains(found[u.Config.Interface], reason)
			out.gauge(c.descriptions.wrong, number(holds), u.Config.Interface, reason)
		}
	}
}

// table makes the metrics of the table in force.
func (c *collector) table(out sink) {
	d, t := c.descriptions, c.options.Daemon.Table()
	ofMethod := make(map[rules.Method]float64)
	if t != nil {
		for _, r := range t.Rules() {
			ofMethod[r.Method]++
		}
	}
	for _, m := range rules.Methods() {
		out.gauge(d.entries, ofMethod[m], sourceConfiguration, m.String())
	}
	for _, s := range rules.Sources() {
		n := 0
		if t != nil {
			n = t.Entries(s)
		}
		out.gauge(d.entries, float64(n), s.String(), "")
	}
	out.counter(d.updates, c.options.Daemon.Updates())
}

// cluster makes the metrics of Kubernetes, which exist only with it.
func (c *collector) cluster(out sink, s *status.Cluster) {
	d := c.descriptions
	for _, src := range s.Sources {
		if src.Missing { // an API that the server does not have is no cause for alarm
			continue
		}
		out.gauge(d.synced, number(src.Synced), src.Source)
		out.gauge(d.lastEvent, seconds(src.LastEvent), src.Source)
		out.gauge(d.held, float64(src.Held), src.Source)
		out.counter(d.requests, src.Lists, src.Source, "list")
		out.counter(d.requests, src.Watches, src.Source, "watch")
	}
	if s.PrefixSource != "" {
		out.gauge(d.prefixSource, 1, s.PrefixSource)
	}
	out.counter(d.ownerChanges, s.OwnerChanges)
	out.gauge(d.unstable, float64(s.UnstableAddresses))
	out.gauge(d.serviceAddresses, float64(s.ServiceAddresses))
	out.gauge(d.owned, float64(s.OwnedAddresses))
	out.gauge(d.unowned, float64(s.UnownedAddresses))
	out.gauge(d.contested, float64(s.ContestedAddresses))
	out.gauge(d.announcers, float64(s.Announcers))
	out.gauge(d.frozen, number(s.Frozen))
	out.gauge(d.standby, number(s.Standby))
	out.gauge(d.uncalled, float64(s.Uncalled))
}

// seconds is a time as a metric has it, 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1e3
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
