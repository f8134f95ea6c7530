// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// clusterStatus returns nil without Kubernetes.
func (d *daemon) clusterStatus() *ClusterStatus {
	s := d.supervisor
	s.mu.Lock()
	c := s.cluster
	if c == nil {
		s.mu.Unlock()
		return nil
	}
	view := c.election.Status(time.Now())
	out := &ClusterStatus{
		Node: c.config.Node, Ownership: c.config.Ownership.String(), PrefixSource: c.prefixSource, Pods: len(c.pods),
		ServiceAddresses: view.Addresses, OwnedAddresses: view.Owned, OwnerChanges: c.ownerChanges,
		Announcers: view.Announcers, Frozen: view.Frozen, Settled: view.Settled, Alone: view.Alone, Unfit: c.unfit(), Standby: c.standby,
	}
	if c.standby {
		out.Announcers, out.Frozen = c.others, false
	}
	s.mu.Unlock() // the watcher calls us with its lock held
	out.Server = c.watcher.Server()
	for _, src := range c.watcher.Status() {
		out.Sources = append(out.Sources, sourceStatus(src))
	}
	for _, p := range view.Peers {
		out.Peers = append(out.Peers, peerStatus(p))
	}
	return out
}

func sourceStatus(s k8swatch.SourceStatus) SourceStatus {
	return SourceStatus{
		Source: s.Source, Synced: s.Synced, Snapshot: s.Restored, LastEvent: s.LastEvent,
		Fault: s.Fault, Forbidden: s.Forbidden, Missing: s.Missing, Held: s.Held, Lists: s.Lists, Watches: s.Watches,
	}
}

func peerStatus(p ownership.PeerStatus) PeerStatus {
	return PeerStatus{Node: p.Node, Owns: p.Owns, Settled: p.Settled, Expired: p.Expired, Silent: p.Silent, Unfit: p.Excluded}
}

// unfit says why this node should not own service addresses, "" if it may.
func (c *cluster) unfit() string {
	if c.node.Excluded != "" {
		return c.node.Excluded
	}
	return c.proxyFault
}

// explain says what the cluster knows of an address that a rule covers.
func (c *cluster) explain(target netip.Addr, m rules.Method) *ClusterEntry {
	if c == nil || !m.Clustered() {
		return nil
	}
	var e ClusterEntry
	if m == rules.Services {
		if c.standby {
			return &ClusterEntry{Standby: true}
		}
		s, ok := c.services[target]
		if !ok {
			return nil
		}
		e.Service, e.Kind = s.Service.Namespace+"/"+s.Service.Name, string(s.Kind)
		e.Owner, e.Backup = c.election.Owner(target)
		if s.Local {
			e.Endpoints = append([]string{}, s.Nodes...)
		}
		return &e
	}
	if p, ok := c.pods[target]; ok {
		e.Pod = p.Namespace + "/" + p.Name
	}
	if m == rules.Node {
		e.PrefixSource = c.prefixSource
	}
	return &e
}
