// SPDX-License-Identifier: Apache-2.0

package status

import "time"

// Cluster is how a daemon sees its cluster.
type Cluster struct {
	Server    string   `json:"server"`
	Node      string   `json:"node"`
	Ownership string   `json:"ownership"`
	Sources   []Source `json:"sources"`
	// NodeAbsent is true while the cluster has no Node of that name, and NodesAlike are
	// the names of its Nodes that are like it.
	NodeAbsent bool     `json:"node_absent,omitempty"`
	NodesAlike []string `json:"nodes_alike,omitempty"`
	// PrefixSource is the source of the node's prefixes that is taken.
	PrefixSource string `json:"prefix_source,omitempty"`
	Pods         int    `json:"pods"`
	// ServiceAddresses are allocated; OwnedAddresses of them are answered here.
	ServiceAddresses int `json:"service_addresses"`
	OwnedAddresses   int `json:"owned_addresses"`
	// Kinds are the same by what the addresses are, those among them that no rule is
	// for.
	Kinds        []KindCount `json:"kinds,omitempty"`
	OwnerChanges uint64      `json:"owner_changes"`
	Announcers   int         `json:"announcers"`
	// UnstableAddresses are those whose owner has changed again and again within half
	// an hour.
	UnstableAddresses int `json:"unstable_addresses"`
	// UnownedAddresses have no owner, and ContestedAddresses more than one, as far as
	// this node knows.
	UnownedAddresses   int `json:"unowned_addresses,omitempty"`
	ContestedAddresses int `json:"contested_addresses,omitempty"`
	// Frozen is true while the leases tell nothing, and the owners stay as they
	// are unless the link tells otherwise.
	Frozen bool `json:"frozen"`
	// Settled is false for a node that waits for its addresses.
	Settled bool `json:"settled"`
	// Standby is true while enough other nodes announce. This one knows nothing
	// of services then.
	Standby bool `json:"standby,omitempty"`
	// ByItself is true for a node that nobody is near to: it answers for every service
	// address, and needs no lease.
	ByItself bool `json:"by_itself,omitempty"`
	// Uncalled is how many addresses nobody answers for, because a Local policy leaves
	// each of them to nodes that stand by, and too many nodes would have to be called in.
	Uncalled int `json:"uncalled,omitempty"`
	// Alone is true where the leases may not be read.
	Alone bool `json:"alone,omitempty"`
	// Namesake is another daemon with the name of this node, which had it first; ""
	// for none. This node owns nothing then.
	Namesake string `json:"namesake,omitempty"`
	// Unfit says why other nodes go first.
	Unfit string `json:"unfit,omitempty"`
	// Irreplaceable is true where this node answers although it is unfit, because no
	// other node on its link can.
	Irreplaceable bool   `json:"irreplaceable,omitempty"`
	Peers         []Peer `json:"peers,omitempty"`
}

// KindCount counts service addresses of one kind: those that there are, and those that
// this node answers for, which are reachable from outside by it.
type KindCount struct {
	Kind     string `json:"kind"`
	Known    int    `json:"known"`
	Answered int    `json:"answered"`
}

// Source tells how one kind of object is followed.
type Source struct {
	Source    string    `json:"source"`
	Synced    bool      `json:"synced"`
	Snapshot  bool      `json:"snapshot,omitempty"`
	LastEvent time.Time `json:"last_event,omitzero"`
	Fault     string    `json:"fault,omitempty"`
	// Forbidden is true when the API server forbade the last request, NoPermission
	// when it has forbidden all for so long that the permission counts as missing.
	Forbidden    bool   `json:"forbidden,omitempty"`
	NoPermission bool   `json:"no_permission,omitempty"`
	Missing      bool   `json:"missing,omitempty"` // the server has no such API
	Held         int    `json:"held,omitempty"`
	Lists        uint64 `json:"lists"`
	Watches      uint64 `json:"watches"`
}

// Peer is another announcer.
type Peer struct {
	Node    string `json:"node"`
	Owns    int    `json:"owns"`
	Settled bool   `json:"settled"`
	// Expired is true when its lease has ended, Silent when it does not answer
	// on the link.
	Expired bool `json:"expired,omitempty"`
	Silent  bool `json:"silent,omitempty"`
	// Heard is true when it answers on the link.
	Heard bool   `json:"heard,omitempty"`
	Unfit string `json:"unfit,omitempty"`
}

// ClusterEntry is what a cluster says of an address.
type ClusterEntry struct {
	Pod string `json:"pod,omitempty"`
	// Absent says why the pod's address is another node's, "" where it is not.
	Absent  string `json:"absent,omitempty"`
	Service string `json:"service,omitempty"`
	Kind    string `json:"kind,omitempty"`
	// Standby is true on a node that leaves services to others, and so knows
	// nothing of them.
	Standby bool `json:"standby,omitempty"`
	// Owner and Backup are nodes.
	Owner  string `json:"owner,omitempty"`
	Backup string `json:"backup,omitempty"`
	// Unfit says why this node leaves the address to others, if there are any. Where
	// addresses are shared out by leases the owner tells.
	Unfit string `json:"unfit,omitempty"`
	// Node is the node that has the address as its own, "" for none.
	Node string `json:"node,omitempty"`
	// Endpoints are the nodes that take traffic, where not every node does.
	Endpoints []string `json:"endpoints,omitempty"`
	// ByItself is true where this node answers because nobody else is near.
	ByItself bool `json:"by_itself,omitempty"`
	// Uncalled is true for an address that [Cluster].Uncalled counts.
	Uncalled bool `json:"uncalled,omitempty"`
	// Services are what each service does with the address, where that is more than
	// the fields above tell.
	Services []ServiceUse `json:"services,omitempty"`
	// Untaken is true where no rule of this node is for addresses of that kind, so that no
	// owner is elected.
	Untaken bool `json:"untaken,omitempty"`
	// Ignored is a service that has the address and does not count.
	Ignored string `json:"ignored,omitempty"`
	// Silent is why this node does not answer, in one sentence without a full stop, ""
	// where the reason of the silence says all.
	Silent string `json:"silent,omitempty"`
	// Prefix is the node's prefix that covers the address, "" for none, and
	// PrefixSource is where the node's prefixes come from.
	Prefix       string `json:"prefix,omitempty"`
	PrefixSource string `json:"prefix_source,omitempty"`
}

// ServiceUse is what one service does with an address.
type ServiceUse struct {
	Service string `json:"service"`
	Kind    string `json:"kind"`
	// Served is true where this node takes traffic for the service.
	Served bool `json:"served"`
	// Local is true where only the nodes of Endpoints and Terminating take traffic.
	// The latter have no ready endpoint, but one that serves while it terminates.
	Local       bool     `json:"local,omitempty"`
	Endpoints   []string `json:"endpoints,omitempty"`
	Terminating []string `json:"terminating,omitempty"`
	// Nodeless is true where an endpoint names no node, so that every node takes
	// traffic in spite of a Local policy.
	Nodeless bool `json:"nodeless,omitempty"`
}
