// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// reconciler brings uplinks, rules and settings into line with the configuration,
// the kernel and the cluster. Whatever changes only wakes it up; it then looks at
// everything as it is, so that a thousand changes cost one look more and no event
// can be missed. It implements [task.Task].
type reconciler struct {
	d    *daemon
	wake chan struct{} // has room for one
	// settles has who waits for a look that begins after they have asked.
	settles chan chan struct{}

	config atomic.Pointer[config.Config] // in force; nil before the first
	// Those of its goroutine: the next hops that the uplinks were told last, and the
	// states of rules and the policy rules that were logged last.
	hops   map[string]hops
	states map[int]string
	policy []string

	complete atomic.Bool // the uplinks have taken the first configuration over, or had their time
	followed atomic.Bool // they have, and the rules that follow from their links are made
	// first are the links of the uplinks at the start, see linkOf. They never change.
	first map[string]rules.Link
}

// hops are the next hops and on-link prefixes of the routes through one uplink, and the
// device that they are of.
type hops struct {
	index  int
	all    []netip.Addr
	first  []netip.Addr
	onLink []netip.Prefix
}

func newReconciler(d *daemon) *reconciler {
	return &reconciler{d: d, wake: make(chan struct{}, 1), settles: make(chan chan struct{}), hops: make(map[string]hops)}
}

// String implements [task.Task].
func (r *reconciler) String() string { return "reconciler" }

// Ready implements [task.Task]: a table is published.
func (r *reconciler) Ready() error {
	if r.d.store.Load() == nil {
		return errors.New("the first table")
	}
	return nil
}

// changed asks for another look. It never blocks.
func (r *reconciler) changed() {
	select {
	case r.wake <- struct{}{}:
	default: // it will look anyhow
	}
}

// settle looks at everything once more, and returns when that is done or ctx ends.
func (r *reconciler) settle(ctx context.Context) {
	done := make(chan struct{})
	select {
	case r.settles <- done:
	case <-ctx.Done():
		return
	}
	<-done
}

// look looks at everything once, and reports what is wrong with the rules.
func (r *reconciler) look() {
	if err := r.reconcile(false); err != nil {
		r.d.trouble.Report("rules", err)
	}
}

// Run implements [task.Task]. It also takes configurations over, so that nothing
// changes while one does.
func (r *reconciler) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case round := <-r.d.pulse:
			close(round)
		case <-r.wake:
			r.look()
		case done := <-r.settles:
			r.look()
			close(done)
		case l := <-r.d.reloads.loaded:
			l.done <- r.d.takeOver(l)
		}
	}
}

// reconcile looks at everything once. renew is for a new configuration, which is
// published even where nothing differs. The error is about the rules; the old
// ones stay in force then.
func (r *reconciler) reconcile(renew bool) error {
	d, cfg := r.d, r.config.Load()
	configs := discover.Uplinks(cfg, d.defaults(), r.names())
	names := make([]string, len(configs))
	for i, c := range configs {
		names[i] = c.Interface
	}
	d.evidence.SetPolicy(cfg.Kubernetes != nil, cfg.Devices)
	d.evidence.SetUplinks(r.indices(names), names, r.origins(names), rules.TablesOf(cfg.Rules))
	r.logPolicy()
	if renew || !slices.Equal(names, r.names()) {
		d.uplinks.Configure(configs)
	}
	if r.first == nil { // nothing else runs yet
		r.first = readLinks(names)
	}
	r.tellHops()
	looked := r.looked()
	found := d.discoverable()
	conditions := d.conditions(cfg)
	rs := discover.Hold(discover.Rules(cfg, found, d.cluster.ServiceCIDRs()), conditions)
	var err error
	if renew || !slices.EqualFunc(rs, d.store.Load().Rules(), discover.SameRule) {
		if err = d.store.SetRules(rs); err == nil {
			d.prober.RulesChanged()
			d.targets.SetRules(rs)
		}
	}
	r.logRules(inspect.RuleStates(cfg, found, conditions))
	facts := d.uplinks.Facts()
	d.keepUnicast(facts)
	d.removal.look(facts)
	if looked && err == nil {
		r.followed.Store(true)
	}
	d.cluster.UplinksChanged()
	d.manager.Status(d.summary())
	return err
}

// readLinks reads the links of interfaces. One that cannot be read is left to its uplink.
func readLinks(names []string) map[string]rules.Link {
	links := make(map[string]rules.Link, len(names))
	for _, name := range names {
		if l, err := hostwatch.ReadLink(name, 0); err == nil {
			links[name] = l
		}
	}
	return links
}

// looked reports whether all uplinks have looked for their interfaces since the start.
func (r *reconciler) looked() bool {
	return r.complete.Load() && !slices.ContainsFunc(r.d.uplinks.Facts(), func(f *uplink.Facts) bool { return !f.Looked })
}

// linkOf returns the link of an uplink: what it shows, or what was read at the start, until
// it has looked at its own, however long that takes on a busy host. The rules that follow from
// links have to be there by then, because uplinks begin with the rules that there are, and what
// an earlier daemon has left in the kernel outside of them falls silent.
func (r *reconciler) linkOf(f *uplink.Facts) rules.Link {
	if f.Looked {
		return f.Link
	}
	return r.first[f.Config.Interface]
}

// names returns the interfaces of the uplinks.
func (r *reconciler) names() []string {
	var names []string
	for _, f := range r.d.uplinks.Facts() {
		names = append(names, f.Config.Interface)
	}
	return names
}

// uses reports whether an uplink has a device, by its name and index, as [fastpath.Sweep] asks. A
// device that has the name of an uplink counts, whether that has looked for it yet or not; where
// none has the name, the one that the uplink follows does, which was renamed.
func (r *reconciler) uses(device string, index int) bool {
	return slices.ContainsFunc(r.d.uplinks.Facts(), func(f *uplink.Facts) bool {
		follows := f.Link.Index
		if f.Config.Interface == device {
			return index != 0 || follows != 0
		}
		return index != 0 && index == follows
	})
}

// indices returns the devices of the uplinks: those that have the names, and
// those that an uplink follows since they were renamed.
func (r *reconciler) indices(names []string) []int {
	var indices []int
	for _, name := range names {
		if i := r.d.routes.Index(name); i != 0 {
			indices = append(indices, int(i))
		}
	}
	for _, f := range r.d.uplinks.Facts() {
		if i := f.Link.Index; i != 0 && slices.Contains(names, f.Config.Interface) {
			indices = append(indices, i)
		}
	}
	slices.Sort(indices)
	return slices.Compact(indices)
}

// origins returns the uplinks with the indices of the devices that they follow.
func (r *reconciler) origins(names []string) map[string]int {
	origins := make(map[string]int, len(names))
	for _, name := range names {
		origins[name] = int(r.d.routes.Index(name))
	}
	for _, f := range r.d.uplinks.Facts() {
		name := f.Config.Interface
		if index, ok := origins[name]; ok && f.Link.Index != 0 && r.d.routes.Has(int32(f.Link.Index)) { //nolint:gosec // the kernel's int
			if index == 0 {
				origins[name] = f.Link.Index
			}
		}
	}
	return origins
}

// logPolicy logs the kernel's policy rules that are not followed, each once while it
// is there.
func (r *reconciler) logPolicy() {
	now := r.d.routes.Policy()
	for _, rule := range now {
		if !slices.Contains(r.policy, rule) {
			r.d.log.Info("a policy rule of the kernel is not followed: it selects by more than where packets arrive and where they go", "rule", rule)
		}
	}
	r.policy = now
}

// tellHops tells the uplinks to read who the routes through them lead to and what is
// on-link there, where that has changed.
func (r *reconciler) tellHops() {
	next := make(map[string]hops)
	for _, u := range r.d.uplinks.All() {
		f := u.Facts()
		index := f.Link.Index
		if index == 0 { // it has not looked at its interface yet
			index = int(r.d.routes.Index(f.Config.Interface))
		}
		h := r.d.routes.HopsOf(index)
		now, was := hops{index, h.All, h.Default, h.OnLink}, r.hops[f.Config.Interface]
		if now.index != was.index || !slices.Equal(now.all, was.all) || !slices.Equal(now.first, was.first) || !slices.Equal(now.onLink, was.onLink) {
			u.HopsChanged()
		}
		next[f.Config.Interface] = now
	}
	r.hops = next
}
