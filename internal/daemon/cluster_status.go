// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// ClusterStatus is how a daemon sees its cluster.
type ClusterStatus struct {
	Server    string         `json:"server"`
	Node      string         `json:"node"`
	Ownership string         `json:"ownership"`
	Sources   []SourceStatus `json:"sources"`
	// PrefixSource is the source of the node's prefixes that is taken.
	PrefixSource string `json:"prefix_source,omitempty"`
	Pods         int    `json:"pods"`
	// ServiceAddresses are allocated; OwnedAddresses of them are answered here.
	ServiceAddresses int    `json:"service_addresses"`
	OwnedAddresses   int    `json:"owned_addresses"`
	OwnerChanges     uint64 `json:"owner_changes"`
	Announcers       int    `json:"announcers"`
	// Frozen is true while the leases tell nothing, and the owners stay as they
	// are unless the link tells otherwise.
	Frozen bool `json:"frozen"`
	// Settled is false for a node that waits for its addresses.
	Settled bool `json:"settled"`
	// Standby is true while enough other nodes announce. This one knows nothing
	// of services then.
	Standby bool `json:"standby,omitempty"`
	// Alone is true where the leases may not be read.
	Alone bool `json:"alone,omitempty"`
	// Unfit says why other nodes go first.
	Unfit string       `json:"unfit,omitempty"`
	Peers []PeerStatus `json:"peers,omitempty"`
}

// SourceStatus tells how one kind of object is followed.
type SourceStatus struct {
	Source    string    `json:"source"`
	Synced    bool      `json:"synced"`
	Snapshot  bool      `json:"snapshot,omitempty"`
	LastEvent time.Time `json:"last_event,omitzero"`
	Fault     string    `json:"fault,omitempty"`
	Forbidden bool      `json:"forbidden,omitempty"`
	Missing   bool      `json:"missing,omitempty"` // the server has no such API
	Held      int       `json:"held,omitempty"`
	Lists     uint64    `json:"lists"`
	Watches   uint64    `json:"watches"`
}

// PeerStatus is another announcer.
type PeerStatus struct {
	Node    string `json:"node"`
	Owns    int    `json:"owns"`
	Settled bool   `json:"settled"`
	// Expired is true when its lease has ended, Silent when it does not answer
	// on the link.
	Expired bool   `json:"expired,omitempty"`
	Silent  bool   `json:"silent,omitempty"`
	Unfit   string `json:"unfit,omitempty"`
}

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

// ClusterEntry is what a cluster says of an address.
type ClusterEntry struct {
	Pod     string `json:"pod,omitempty"`
	Service string `json:"service,omitempty"`
	Kind    string `json:"kind,omitempty"`
	// Standby is true on a node that leaves services to others, and so knows
	// nothing of them.
	Standby bool `json:"standby,omitempty"`
	// Owner and Backup are nodes.
	Owner  string `json:"owner,omitempty"`
	Backup string `json:"backup,omitempty"`
	// Endpoints are the nodes that take traffic, where not every node does.
	Endpoints []string `json:"endpoints,omitempty"`
	// PrefixSource is where the node's prefix comes from.
	PrefixSource string `json:"prefix_source,omitempty"`
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
