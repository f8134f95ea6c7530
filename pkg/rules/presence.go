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
func Presence(node string) netip.Addr {
	b := PresencePrefix().Addr().As16()
	sum := sha256.Sum256([]byte(node))
	copy(b[12:], sum[:])
	return netip.AddrFrom16(b)
}
