// SPDX-License-Identifier: Apache-2.0

// Package consume keeps the kernel from handling unicast Neighbor Solicitations
// that the daemon answers. The kernel does not know that they are answered: for
// an address that is not its own it sends the asker an ICMPv6 error, or forwards
// the solicitation, and between two nodes that goes on for 255 hops.
//
// Nor does it know that an address which no service proxy has taken is nobody's:
// it takes such a packet back to the link that it came from, where another node
// may do the same.
//
// [Table] is a table of nftables with a chain that drops such solicitations
// after packet sockets have seen them, and one that drops such packets after
// service proxies have. It belongs to the socket that made it, so
// the kernel removes it when the process ends, however it ends. It takes
// CAP_NET_ADMIN, and Linux 5.12. The daemon makes one where an uplink asks for one of them.
// A Table is not safe for concurrent use.
package consume
