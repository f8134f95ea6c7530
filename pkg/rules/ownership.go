// SPDX-License-Identifier: Apache-2.0

package rules

// Ownership tells which nodes answer for a service address.
type Ownership uint8

// The kinds of ownership.
const (
	// OwnershipHash is one node for each address, chosen by all in the same way.
	OwnershipHash Ownership = iota
	// OwnershipAnycast is every node, each after a random delay of up to
	// [MaxDelay] (RFC 4861 §7.2.7).
	OwnershipAnycast
	// OwnershipAll is every node, at once.
	OwnershipAll
)

// OwnershipNames lists the names in configuration files, by value.
func OwnershipNames() []string { return []string{"hash", "anycast", "all"} }

// String returns the name.
func (o Ownership) String() string { return OwnershipNames()[o] }
