// SPDX-License-Identifier: Apache-2.0

package rules

import "net/netip"

// Link is what is known of one network interface at one moment.
type Link struct {
	// Name and Index are the kernel's; the index changes when an interface is
	// deleted and created again.
	Name  string
	Index int
	// MAC is the current Ethernet address, zero unless Ethernet is true.
	MAC [6]byte
	// Ethernet is true for links with Ethernet framing and neighbor discovery.
	Ethernet bool
	// Up is true when the interface is up and has a carrier.
	Up bool
	// IPv6 is false while the interface has no IPv6 at all, as with an MTU
	// below 1280 (RFC 8200 §5). The kernel forgets its multicast groups then.
	IPv6 bool
	// Master is the name of the bridge, bond or the like that the interface is
	// a port of, and that its frames are delivered to.
	Master string
	// Bridge is true for a bridge. Stations are then the MAC addresses that it
	// knows behind its virtual ports: containers and machines of this node.
	Bridge   bool
	Stations map[[6]byte]bool
	// Forwarding is the interface's IPv6 forwarding setting.
	Forwarding bool
	// Addresses are the IPv6 addresses assigned to the interface.
	Addresses []LinkAddress
}

// LinkAddress is an address assigned to an interface.
type LinkAddress struct {
	// Prefix holds the address with the length of its on-link prefix.
	Prefix netip.Prefix
	// Usable is false while duplicate address detection runs, and for ever
	// when it failed (RFC 4862 §5.4).
	Usable bool
	// Deprecated addresses are the last choice as a source (RFC 6724 §5).
	Deprecated bool
}
