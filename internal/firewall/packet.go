// SPDX-License-Identifier: Apache-2.0

package firewall

import "net/netip"

// State is the state of a packet's connection, as a bit of nftables' "ct state"
// (NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h).
type State uint32

// The states that a packet is looked at in.
const (
	Established State = 1 << 1
	New         State = 1 << 3
)

// ReversePath says by which way the kernel would answer a packet's sender.
type ReversePath uint8

// The ways back.
const (
	// Unknown: nobody has looked.
	Unknown ReversePath = iota
	// SameDevice: by the device that the packet has arrived on.
	SameDevice
	// OtherDevice: by another one.
	OtherDevice
	// NoRoute: by none.
	NoRoute
)

// Device is a network device by name and index.
type Device struct {
	Name  string
	Index int
}

// Packet is a packet that arrives at the host, or a whole set of them: what is
// left out is not known.
type Packet struct {
	// In is the device that it arrives on, and Out the one that it is forwarded to,
	// zero for a packet that the host itself takes.
	In, Out Device
	// Source and Destination are the prefixes that its addresses are in; the zero
	// Prefix is any address.
	Source, Destination netip.Prefix
	State               State
	Back                ReversePath
	// Unmarked is true for a packet that has no mark.
	Unmarked bool
}

// hooks returns where a packet passes, in order.
func (p Packet) hooks() []uint32 {
	if p.Out.Name == "" {
		return []uint32{hookPrerouting, hookInput}
	}
	return []uint32{hookPrerouting, hookForward, hookPostrouting}
}

// Fate is what becomes of a packet.
type Fate struct {
	// Dropped is true where it is dropped for certain, by Drop.
	Dropped bool
	Drop    Drop
	// Translated is true where its destination may be changed before it is
	// routed, or where a program on the host takes it.
	Translated bool
}

// Drop is what drops a packet.
type Drop struct {
	// Family, Table and Base name the base chain, as the commands of nft do, and
	// Chain the one that has the rule.
	Family, Table, Base, Chain string
	// Hook is "prerouting", "input", "forward" or "postrouting".
	Hook string
	// Raw is true for a base chain that comes before connection tracking.
	Raw bool
	// Policy is true where no rule of the base chain has decided.
	Policy bool
	// Except are the devices that the rule leaves alone what arrives on.
	Except []string
	// ReversePath is true where the rule asks for the way back to the sender.
	ReversePath bool
}

// String names the chain, for example "ip6 filter FORWARD".
func (d Drop) String() string {
	name := d.Chain
	if name == "" {
		name = d.Base
	}
	return d.Family + " " + d.Table + " " + name
}
