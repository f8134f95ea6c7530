// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"crypto/sha256"
	"net/netip"
)

// PresencePrefix holds the link-local addresses at which daemons show each other
// that they are alive. No interface has them: a daemon answers for its own one,
// and its kernel knows nothing of it. The letters are "ndpr".
func PresencePrefix() netip.Prefix { return netip.MustParsePrefix("fe80::6e64:7072:0:0/96") }

// Presence returns the address of a node's daemon.
func Presence(node string) netip.Addr { return presence(node) }

// Witness returns the address at which daemons on other nodes tell that they hear the
// daemon of a node: who misses it asks them.
func Witness(node string) netip.Addr { return presence("witness of " + node) }

// presence makes an address of a name, by a hash of 32 bits.
func presence(name string) netip.Addr {
	b := PresencePrefix().Addr().As16()
	sum := sha256.Sum256([]byte(name))
	copy(b[12:], sum[:])
	return netip.AddrFrom16(b)
}
