// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// String names the task.
func (m *Manager) String() string { return "kubernetes" }

// Ready returns an error that names what is not known of the cluster yet, and nil
// without one.
func (m *Manager) Ready() error {
	if waits := m.Waits(); len(waits) > 0 {
		return errors.New(strings.Join(waits, ", "))
	}
	return nil
}

// Waits returns what of the cluster is not known yet since the start, from the server
// or the snapshot. Once all was known, and an uplink ready, there is nothing any more,
// whatever happens to the server: answers outlive it. What the account may not read is
// not waited for.
func (m *Manager) Waits() []string {
	m.mu.Lock()
	c := m.current
	if c == nil || c.complete && !c.namesake.alive {
		m.mu.Unlock()
		return nil
	}
	waits := c.waits()
	m.mu.Unlock() // the watcher calls us with its lock held
	waits = append(c.watcher.Waits(), waits...)
	if len(waits) == 0 && m.store.Load() != nil {
		m.mu.Lock()
		c.complete = len(m.links) > 0 && c.isComplete()
		m.mu.Unlock()
	}
	return waits
}

// ServiceCIDRs returns the prefixes of the cluster's services, for the discovery of
// rules.
func (m *Manager) ServiceCIDRs() []netip.Prefix {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current == nil {
		return nil
	}
	return m.current.ranges()
}

// Presence returns the address that shows others that this daemon takes part in the
// election, an invalid one while it does not.
func (m *Manager) Presence() netip.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.presence.own
}

// Status tells how this node sees its cluster, nil without Kubernetes.
func (m *Manager) Status() *status.Cluster {
	m.mu.Lock()
	c := m.current
	if c == nil {
		m.mu.Unlock()
		return nil
	}
	now := time.Now()
	c.refresh(now)
	view := c.election.Status(now)
	out := &status.Cluster{
		Node: c.config.Node, Ownership: c.config.Ownership.String(), PrefixSource: c.prefixSource, Pods: len(c.pods),
		ServiceAddresses: view.Addresses, OwnedAddresses: view.Owned, OwnerChanges: c.ownerChanges,
		UnownedAddresses: view.Unowned, ContestedAddresses: view.Contested,
		UnstableAddresses: c.moves.unstable(now), Announcers: view.Announcers, Frozen: view.Frozen && c.needs.Leases, Settled: view.Settled, Alone: view.Alone, Unfit: c.unfit(), Irreplaceable: c.answersUnfit(), Standby: c.standby, ByItself: c.near.byItself,
		Namesake: c.namesake.text(), NodeAbsent: c.absent, NodesAlike: c.alike, Uncalled: len(c.calls.requests.Left),
	}
	if c.namesake.alive { // nobody sees a renewal of ours
		out.Frozen = false
	}
	out.Kinds = c.kindCounts()
	if c.standby {
		out.Announcers, out.Frozen = c.announcers, false
	}
	m.mu.Unlock() // the watcher calls us with its lock held
	out.Server = c.watcher.Server()
	for _, s := range c.watcher.Status() {
		out.Sources = append(out.Sources, sourceStatus(s))
	}
	for _, p := range view.Peers {
		out.Peers = append(out.Peers, peerStatus(p))
	}
	return out
}

func sourceStatus(s k8swatch.SourceStatus) status.Source {
	return status.Source{
		Source: s.Source, Synced: s.Synced, Snapshot: s.Restored, LastEvent: s.LastEvent,
		Fault: s.Fault, Forbidden: s.Forbidden, NoPermission: s.NoPermission, Missing: s.Missing, Held: s.Held, Lists: s.Lists, Watches: s.Watches,
	}
}

func peerStatus(p ownership.PeerStatus) status.Peer {
	return status.Peer{Node: p.Node, Owns: p.Owns, Settled: p.Settled, Expired: p.Expired, Silent: p.Silent, Heard: p.Heard, Unfit: p.Excluded}
}

// Explain tells what the cluster knows of an address, by the method of the rule that
// covers it; nil where the rule does not ask a cluster, or there is nothing to tell.
func (m *Manager) Explain(target netip.Addr, method rules.Method) *status.ClusterEntry {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.current
	switch {
	case c == nil, !method.Clustered():
		return nil
	case method != rules.Services:
		return explainPod(c, target, method)
	case c.standby:
		return &status.ClusterEntry{Standby: true}
	}
	return c.explainService(target, time.Now())
}

// explainPod tells which pod has an address, and where the prefixes of this node are
// from.
func explainPod(c *cluster, target netip.Addr, method rules.Method) *status.ClusterEntry {
	e := new(status.ClusterEntry)
	if p, ok := c.pods[target]; ok {
		e.Pod, e.Absent = p.Namespace+"/"+p.Name, p.Absent
	} else if s, ok := c.services[target]; ok {
		e.Silent = "the service " + nameOf(&s) + " has the address as " + string(s.Kind) + ", and the rule is for pods: a rule with the method services answers for it"
	}
	if method == rules.Node {
		e.PrefixSource = c.prefixSource
		if known, ok := c.manager.store.Entry(rules.NodePrefixes, target); ok {
			e.Prefix = known.Prefix.String()
		}
	}
	return e
}
