// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"log/slog"
	"net/netip"
)

// Needs are what the rules ask of the cluster. What they do not ask is not
// followed, and takes no permission.
type Needs struct {
	Pods, Prefixes, Services bool
	// ServiceCIDRs are for the discovery of rules, and for whether a rule is about cluster
	// IPs.
	ServiceCIDRs bool
	// Leases are for one owner of each service address.
	Leases bool
}

// node reports whether this node's Node object is followed. Where only pods are needed it
// tells whether the cluster has a Node of that name, and nothing waits for it.
func (n Needs) node() bool { return n.Pods || n.Prefixes || n.Services }

// pods reports whether this node's pods are followed: one may have an address outside of
// the prefixes of its node.
func (n Needs) pods() bool { return n.Pods || n.Prefixes }

// Config is what a watcher works with.
type Config struct {
	// Node is the name of this node's Node object.
	Node string
	// Namespace is where the announcers' leases are.
	Namespace string
	Needs     Needs
	Selection Selection
	// PrefixSource pins the source of this node's prefixes, one of [PrefixSources]; ""
	// for the one that is in force.
	PrefixSource string
	// Routed reports whether the kernel has a route for a prefix as a whole that does
	// not lead to another node, as the plugin that uses the prefix makes one. It is
	// called with the watcher's lock held, and must not block; nil where nobody knows.
	Routed func(netip.Prefix) bool
	// Snapshot is the file that outlives the process, "" for none.
	Snapshot string
	// Standby takes nothing about services and leases from the snapshot: the
	// node has left them to others, and what it knew of them is no longer true.
	Standby bool
	// Holder names this process, by [NewHolder].
	Holder string
	Log    *slog.Logger
}

// asks reports whether a source of the node's prefixes counts, by its key: the one that
// is pinned alone, else each of them.
func (c *Config) asks(key string) bool {
	return c.Needs.Prefixes && (c.PrefixSource == "" || c.PrefixSource == key)
}

// choosesSource reports whether the source of the node's prefixes is found out.
func (c *Config) choosesSource() bool { return c.Needs.Prefixes && c.PrefixSource == "" }

// Handler takes what a watcher learns. All but Record, Renewed and Forbidden are
// called one at a time, with the watcher's lock held: they must not block, nor call
// a method of the watcher but Announce, Withdraw, Renew, LinksChanged, Call, Follows and
// Emit.
type Handler struct {
	// Awaited is called before Pods, with true while a virtual machine is to arrive in
	// a pod whose addresses are not known yet; nil where nobody asks.
	Awaited func(bool)
	// Pods has all addresses of this node's pods.
	Pods func(map[netip.Addr]Pod)
	// Prefixes has all prefixes of this node, and the one source of them that
	// is taken.
	Prefixes func(source string, prefixes []netip.Prefix)
	Services func([]AddressChange)
	// ServiceCIDRs has all of them.
	ServiceCIDRs func([]netip.Prefix)
	Node         func(NodeState)
	// NodeAddresses has the addresses of all Nodes, each with the name of its Node. It
	// is called before services are Known, where the account may list Nodes.
	NodeAddresses func(map[netip.Addr]string)
	// Absent is called when the cluster turns out to have no Node of this node's name,
	// once more with the names that are like it, and when it has one after all.
	Absent func(is bool, alike []string)
	// Lease is called at each renewal that is seen, and with gone at the end.
	Lease func(l Lease, gone bool)
	// Wanted reports whether this node is to announce, given the leases of those who
	// do and may be on a link of ours, and how many leases there are in all, 0 where
	// that does not matter. Until it is, nothing of services is followed, nor those
	// leases.
	Wanted func(announcers []Lease, all int) bool
	// Joining is called when it is about to.
	Joining func()
	// Called is called when an announcer has called this node in: it is wanted from
	// now on for a while.
	Called func()
	// Known is called when a source is known as a whole, from the snapshot, or by
	// heard from the server: pods and nodes before what is known of them; services, with
	// what their policies need, and leases after all of them. It may be called again.
	Known func(source string, heard bool)
	// Proxy is called with what ProxySeen was told in the last process.
	Proxy func(url string)
	// Record returns what this node's lease says of it; Renewed is called after
	// each attempt to renew it, and Forbidden when the account has turned out to lack
	// the permission for a source, or to have it again. They may be called at any time.
	Record func() string
	// Links returns the links of this node. It may be called at any time, with no lock
	// held.
	Links   func() Links
	Renewed func(error)
	// SameHost reports whether the record of a lease of this node's name was written on
	// this host. It may be called at any time.
	SameHost  func(record string) bool
	Forbidden func(source string, is bool)
}

// The sources that Known and Forbidden tell apart.
const (
	SourcePods           = "pods"
	SourceNodes          = "nodes"
	SourceServices       = "services"
	SourceOwnLease       = "own lease"
	SourceLeases         = "leases"
	SourceEndpointSlices = "endpointslices"
	SourceNodeAddresses  = "node_addresses"
	SourceServiceCIDRs   = "servicecidrs"
)
