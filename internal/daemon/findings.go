// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"iter"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// inspector looks for findings while the daemon runs: at each load for the log,
// and at each scrape for the misconfiguration metric. That reads a lot of the
// host, so it is done by the goroutine that asks, without a lock.
type inspector struct {
	d *daemon

	mu     sync.Mutex
	errors map[string]*inspect.UnicastErrors // by interface
}

func newInspector(d *daemon) *inspector {
	return &inspector{d: d, errors: make(map[string]*inspect.UnicastErrors)}
}

// Findings returns what keeps answers from being of use, on all uplinks.
func (i *inspector) Findings() []inspect.Finding {
	d, cfg, table := i.d, i.d.reconciler.config.Load(), i.d.store.Load()
	uplinks := d.discoverable()
	gaps := make(map[string]string)
	found := discover.Gaps(cfg, uplinks)
	for _, g := range found {
		gaps[g.Interface] = g.Why
	}
	var suggested discover.Suggestion
	if len(found) > 0 {
		suggested = discover.Suggest(cfg, inspect.Overview(d.routes, d.judge, uplinks))
	}
	templates := make(map[string][]discover.Expansion)
	for _, x := range discover.Expand(cfg, uplinks) {
		templates[x.Interface] = append(templates[x.Interface], x)
	}
	var all []inspect.Finding
	var names []string
	for _, f := range d.uplinks.Facts() {
		if f.Link.Index == 0 { // it is waited for, which its state tells
			continue
		}
		names = append(names, f.Config.Interface)
		name, host := f.Config.Interface, hostwatch.ReadUplink(f.Link)
		holding := inspect.Holding(table.Rules(), name)
		way, done := inspect.ReadWay(d.judge.From(name, 0), d.routes, f.Link, holding)
		onLink := rules.OnLink(f.Link, d.routes.HopsOf(f.Link.Index).OnLink)
		conflicts, neighbors := inspect.Contested(claimed(f), holding, onLink)
		all = append(all, inspect.Findings(inspect.Uplink{
			Config: f.Config, Link: f.Link, Forwards: hostwatch.Forwards(f.Link.Name),
			OnLink: onLink, Rules: holding, Discovered: cfg.DiscoverRules, Gap: gaps[name], Templates: templates[name], Suggested: suggested,
			Behind: d.judge.From(name, 0), Table: func(table uint32) inspect.Judge { return d.judge.From(name, table) }, Routes: d.routes, Host: host, Conflicts: conflicts, Neighbors: neighbors,
			UnicastErrors: i.observe(f, host), FastPath: fastPath(f), Way: way, Decide: func(a netip.Addr) (ndp.Reason, bool) { return decide(f, table, a), true },
		})...)
		done()
	}
	all = append(all, inspect.Cluster(d.cluster.Status(), names)...)
	return append(all, inspect.Targets(d.targets.Files())...)
}

// logNothing logs what is there, and which configuration would answer, where no rule
// is in force.
func (i *inspector) logNothing() {
	cfg := i.d.reconciler.config.Load()
	o := inspect.Overview(i.d.routes, i.d.judge, i.d.discoverable())
	i.d.log.Warn("no rule is in force, so nothing is answered", "looked_for", discover.LookedFor, "seen", o.Lines(), "configuration", discover.Suggest(cfg, o).YAML())
}

// claimed yields the addresses that other stations have.
func claimed(f *uplink.Facts) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, c := range f.Conflicts {
			if !yield(c.Address) {
				return
			}
		}
	}
}

// decide tells what becomes of a solicitation for an address on an uplink.
func decide(f *uplink.Facts, table *rules.Table, a netip.Addr) ndp.Reason {
	iface := f.Interface
	if iface == nil {
		iface = ndp.NewInterface(f.Link, f.Config)
	}
	_, reason := ndp.Decide(a, iface, table.View(f.Config.Interface))
	return reason
}

// observe returns how many ICMPv6 errors the kernel has sent beside our answers
// lately.
func (i *inspector) observe(f *uplink.Facts, host hostwatch.UplinkState) uint64 {
	i.mu.Lock()
	seen := i.errors[f.Config.Interface]
	if seen == nil {
		seen = new(inspect.UnicastErrors)
		i.errors[f.Config.Interface] = seen
	}
	i.mu.Unlock()
	return seen.Observe(inspect.UnicastSample{
		At: time.Now(), Index: host.Unreachables.Index, Errors: host.Unreachables.Sent, Answered: f.Counters.Answered[ndp.Unicast].Load(),
	})
}

// warnings are the findings that were logged, each once while it stays.
type warnings struct{ logged map[[2]string]bool }

// log logs findings that are new. Only the reloader calls it.
func (w *warnings) log(to *slog.Logger, found []inspect.Finding) {
	now := make(map[[2]string]bool, len(found))
	for _, f := range found {
		key := [2]string{f.Interface, f.Reason}
		now[key] = true
		if f.Severity == inspect.Warning && !f.Logged && !w.logged[key] {
			attrs := []any{"interface", f.Interface, "reason", f.Reason, "effect", f.Effect, "remedy", f.Remedy}
			if f.Config != "" {
				attrs = append(attrs, "configuration", f.Config)
			}
			to.Warn("misconfiguration: "+f.Problem, attrs...)
		}
	}
	w.logged = now
}
