// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"
	"time"
)

// Entry is one fact from a source: this prefix is behind us, or it is not. The most
// specific entry of a source counts.
type Entry struct {
	Prefix netip.Prefix
	// Behind is true when packets for the prefix leave by a device behind us, or
	// when this node is the one that has to receive them.
	Behind bool
	// Forwarded is true when packets for the prefix leave by a device that is no
	// uplink and not on the link of one, whatever its class. It is what a rule that
	// names the device asks for. An entry that is Behind because of a route is
	// Forwarded, too.
	Forwarded bool
	// Host is true when the host itself takes the packets, and no kernel answers for
	// the addresses on an uplink: a route of the type local (AnyIP), or an address of
	// lo, a dummy, a bridge or a tunnel. An address of an uplink is not Host: the
	// kernel answers for it.
	Host bool
	// Hidden is true for a Host entry that a service proxy or a load balancer keeps
	// from neighbor discovery on purpose. Only a rule that names the device takes it
	// for evidence.
	Hidden bool
	// Neighbor is true when the addresses of the prefix are on-link at Device, so
	// that a Neighbor Solicitation can ask for them.
	Neighbor bool
	// Attached is true when the prefix is routed without a next hop to an Ethernet
	// device, or to one whose far end is in another network namespace of this host (a
	// veth or a netkit, with neighbor discovery or without). On a node of a cluster
	// such a route of one address is the first sign of a pod. An entry that is a
	// Neighbor is Attached, too.
	Attached bool
	// Elsewhere is true when the kernel sends packets for the prefix to another node
	// of a cluster: back to the link of an uplink, into a tunnel or, for a single
	// address, to a next hop, because plugins route a node's own pods without one.
	// An answer would draw packets here that have to leave again.
	Elsewhere bool
	// Additional is true for a pod's address by an additional network. The pod's interface
	// may be on the uplink's own link, so the entry counts only where the kernel routes
	// the address to a device behind us.
	Additional bool
	// Leaving is true for an address that is on its way to another node: it is
	// Behind, so that it is answered until that node announces it, and no longer
	// announced here.
	Leaving bool
	// NodeAddress is true for a service address that a node of the cluster has as its
	// own. No node answers for such an address by a rule, and it is never Behind.
	NodeAddress bool
	// Chosen is true for a service address that no range of the cluster vouches for:
	// whoever made the service may have chosen the address of another station.
	Chosen bool
	// Unconfirmed is true for what an earlier process has learned: it is answered
	// for, and not announced before its source says so again.
	Unconfirmed bool
	// Kinds are what a service address is, 0 where that is not known.
	Kinds ServiceKinds
	// Device is the index of the device that leads to the prefix, 0 where the
	// source does not know of devices.
	Device int32
	// Lists are the files that a Listed entry is in. It counts for rules that name
	// one of them.
	Lists Lists
	// Since is when the source learned it. Decisions do not depend on it.
	Since time.Time
}

// EntryChange is an entry that is new, has changed, or is gone. Of a gone one only
// the prefix counts.
type EntryChange struct {
	Entry
	Gone bool
}

// fact is an Entry as the store keeps it: compact, and without the prefix, which is
// its key.
type fact struct {
	since    int64 // seconds since 1970
	device   int32
	list     int32 // an index of [Store.lists]
	behind   bool
	neighbor bool
	leaving  bool
	ofNode   bool // NodeAddress
	chosen   bool

	forwarded   bool
	attached    bool
	elsewhere   bool
	additional  bool
	host        bool
	hidden      bool
	unconfirmed bool
	kinds       ServiceKinds
}

func (s *Store) fact(e Entry) fact {
	return fact{
		list: s.lists.intern(e.Lists), since: e.Since.Unix(), device: e.Device, behind: e.Behind, neighbor: e.Neighbor, leaving: e.Leaving,
		forwarded: e.Forwarded, attached: e.Attached || e.Neighbor, elsewhere: e.Elsewhere, additional: e.Additional, host: e.Host, hidden: e.Hidden, ofNode: e.NodeAddress, chosen: e.Chosen, unconfirmed: e.Unconfirmed, kinds: e.Kinds,
	}
}

func (s *Store) entry(p netip.Prefix, f fact) Entry {
	return Entry{
		Prefix: p, Lists: s.lists.get(f.list), Behind: f.behind, Neighbor: f.neighbor, Leaving: f.leaving, Device: f.device, Since: time.Unix(f.since, 0),
		Forwarded: f.forwarded, Attached: f.attached, Elsewhere: f.elsewhere, Additional: f.additional, Host: f.host, Hidden: f.hidden, NodeAddress: f.ofNode, Chosen: f.chosen, Unconfirmed: f.unconfirmed, Kinds: f.kinds,
	}
}

// same reports whether two facts are equal, whenever they were learned.
func (f fact) same(o fact) bool {
	f.since, o.since = 0, 0
	return f == o
}
