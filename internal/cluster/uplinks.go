// SPDX-License-Identifier: Apache-2.0

package cluster

import "net/netip"

// Uplinks are the uplinks of the daemon. None of their methods may block, and
// none is called with a lock of this package held.
type Uplinks interface {
	// Links returns the uplinks that answer solicitations now. When that changes
	// [Manager.UplinksChanged] has to be called.
	Links() []Link
	// Ask asks the station with that MAC address for a target, on every uplink
	// that is ready: whoever answers is alive. The zero address is all stations.
	Ask(target netip.Addr, station [6]byte)
	// SetPresence sets the address that every uplink answers for to show others
	// that this daemon is alive, see [rules.Presence], an invalid one for none, and
	// those that show which others it hears, see [rules.Witness]. They hold for uplinks
	// that come later, too.
	SetPresence(own netip.Addr, witnessed []netip.Addr)
	// Appeared tells of addresses that have just appeared behind this node: that
	// is later evidence than what stations on the link claimed before.
	Appeared([]netip.Addr)
}

// Link is what the cluster has to know of an uplink that is ready.
type Link struct {
	// Name is the interface's name, as rules have it.
	Name string
	MAC  [6]byte
	// OnLink are the prefixes whose addresses a router expects on the link.
	OnLink []netip.Prefix
	// Addresses are those of the interface that others may reach, in order.
	Addresses []netip.Addr
	// Routers are the next hops of the default routes.
	Routers []netip.Addr
}
