// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/task"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Options are what a Manager works with.
type Options struct {
	// Store takes the entries.
	Store *rules.Store
	// Uplinks are asked to send, and tell of their links.
	Uplinks Uplinks
	Log     *slog.Logger
	// Holder names this process in its lease, by [k8swatch.NewHolder].
	Holder string
	// Observe is told how long a change took from the watcher into the store;
	// nil for nobody. It must not block.
	Observe func(time.Duration)
	// Changed is called after ServiceCIDRs or Presence return something else;
	// nil for nobody. It must not block.
	Changed func()
}

// Manager follows the cluster of the present configuration, or none. It
// implements [task.Task].
type Manager struct {
	store   *rules.Store
	uplinks Uplinks
	log     *slog.Logger
	holder  string
	observe func(time.Duration)
	notify  func() // Options.Changed
	trouble *task.Trouble
	watch   func(*k8swatch.Client, k8swatch.Config, k8swatch.Handler) watcher
	outbox  *outbox

	switched chan struct{} // another cluster may have to be followed
	moved    chan struct{} // the uplinks, or the rules for them, have changed
	wake     chan struct{} // the election has something to do earlier than it had

	mu        sync.Mutex
	current   *cluster // nil without Kubernetes
	links     []Link   // as the uplinks last told
	presence  presence
	armed     time.Time // when the election is looked at next, zero for never
	reminders reminders
}

// New makes a Manager that follows no cluster yet.
func New(o Options) *Manager {
	m := &Manager{
		store: o.Store, uplinks: o.Uplinks, log: o.Log, holder: o.Holder, observe: o.Observe, notify: o.Changed,
		trouble: task.NewTrouble(o.Log), watch: watch, outbox: newOutbox(),
		switched: make(chan struct{}, 1), moved: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
	if m.observe == nil {
		m.observe = func(time.Duration) {}
	}
	if m.notify == nil {
		m.notify = func() {}
	}
	return m
}

// Configure follows the cluster of a configuration from now on, none where
// client is nil. What is known of the same cluster stays in force while another
// watcher reads it again. It is to be called after [rules.Store.SetRules], and
// does not wait for the watcher before to end.
func (m *Manager) Configure(cfg *config.Config, client *k8swatch.Client) {
	m.update(func(now time.Time) {
		m.replace(cfg, client)
		if c := m.current; c != nil {
			c.readLinkAddresses(now)
			c.kindsChanged()
			c.setSelf(now)
			c.publish(now)
		}
	})
	post(m.moved) // the rules may be others
}

// replace makes the cluster of a configuration the current one.
func (m *Manager) replace(cfg *config.Config, client *k8swatch.Client) {
	old := m.current
	if client == nil {
		if old != nil {
			m.current, m.links = nil, nil // nobody keeps the links up to date without a cluster
			m.forget()
			m.setPresence(presence{})
			m.outbox.changed()
			post(m.switched)
		}
		return
	}
	needs := k8swatch.Needs(discover.NeedsOf(cfg))
	selection := selectionFor(cfg)
	if old != nil && old.config.Equal(cfg.Kubernetes) && old.needs == needs && slices.Equal(old.selection.Kinds, selection.Kinds) && old.watcher.Uses(client) {
		return
	}
	next := newCluster(m, cfg.Kubernetes, needs, selection, client, false)
	if old != nil {
		inherit(next, old)
	}
	m.current = next
	m.outbox.changed()
	post(m.switched)
}

// forget takes everything that came from a cluster out of the store.
func (m *Manager) forget() {
	for _, source := range []rules.Source{rules.PodAddresses, rules.NodePrefixes, rules.ServiceAddresses} {
		m.clear(source)
	}
	m.store.HoldFirstSigns(false, time.Time{})
}

// clear takes the entries of one source out of the store.
func (m *Manager) clear(source rules.Source) {
	m.store.Replace(source, func(func(rules.Entry) bool) {})
}

// presence is what other nodes see of this daemon.
type presence struct {
	own       netip.Addr // shows that it takes part in the election; invalid while it does not
	witnessed []netip.Addr
}

// setPresence has the uplinks answer for what other nodes see of this daemon.
func (m *Manager) setPresence(p presence) {
	changed := m.presence.own != p.own
	if changed || !slices.Equal(m.presence.witnessed, p.witnessed) {
		m.presence = p
		m.outbox.setPresence(p, changed)
	}
}

// update runs f with the lock held, and sets the election's timer anew.
func (m *Manager) update(f func(now time.Time)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(time.Now())
	m.rearm()
}

// rearm wakes the election's timer if something is due earlier than it knows.
func (m *Manager) rearm() {
	if at, ok := m.next(); ok && (m.armed.IsZero() || at.Before(m.armed)) {
		post(m.wake)
	}
}

// next returns when the election has something to do, and false for never.
func (m *Manager) next() (time.Time, bool) {
	if m.current == nil {
		return time.Time{}, false
	}
	return m.current.next()
}

// post leaves a message in a mailbox of one, which stands for any number.
func post(mailbox chan<- struct{}) {
	select {
	case mailbox <- struct{}{}:
	default:
	}
}
