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

// fact is an Entry as the store keeps it: compact, as there may be hundreds of
// thousands, and without the prefix, which is its key.
type fact struct {
	since  int64 // seconds since 1970
	device int32
	list   int32 // an index of [Store.lists]
	traits traits
	kinds  ServiceKinds
}

// traits are what an Entry says with yes or no, one bit each.
type traits uint16

const (
	behind traits = 1 << iota
	forwarded
	host
	hidden
	neighbor
	attached
	elsewhere
	additional
	leaving
	nodeAddress
	chosen
	unconfirmed
)

// traits returns those of an entry, in the order of the constants.
func (e *Entry) traits() (all traits) {
	for i, is := range [...]bool{
		e.Behind, e.Forwarded, e.Host, e.Hidden, e.Neighbor, e.Attached || e.Neighbor,
		e.Elsewhere, e.Additional, e.Leaving, e.NodeAddress, e.Chosen, e.Unconfirmed,
	} {
		if is {
			all |= 1 << i
		}
	}
	return all
}

// is reports whether a trait holds.
func (f fact) is(t traits) bool { return f.traits&t != 0 }

func (s *Store) fact(e Entry) fact {
	return fact{since: e.Since.Unix(), device: e.Device, list: s.lists.intern(e.Lists), traits: e.traits(), kinds: e.Kinds}
}

func (s *Store) entry(p netip.Prefix, f fact) Entry {
	return Entry{
		Prefix: p, Behind: f.is(behind), Forwarded: f.is(forwarded), Host: f.is(host), Hidden: f.is(hidden),
		Neighbor: f.is(neighbor), Attached: f.is(attached), Elsewhere: f.is(elsewhere), Additional: f.is(additional),
		Leaving: f.is(leaving), NodeAddress: f.is(nodeAddress), Chosen: f.is(chosen), Unconfirmed: f.is(unconfirmed),
		Kinds: f.kinds, Device: f.device, Lists: s.lists.get(f.list), Since: time.Unix(f.since, 0),
	}
}

// same reports whether two facts are equal, whenever they were learned.
func (f fact) same(o fact) bool {
	f.since, o.since = 0, 0
	return f == o
}
