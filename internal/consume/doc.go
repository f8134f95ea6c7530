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
// service proxies have. The table belongs to the socket that made it, so the
// kernel removes it when the process ends, however it ends. It takes
// CAP_NET_ADMIN, and Linux 5.12. A Table is not safe for concurrent use.
//
// [Keeper] is the task that owns the Table: it makes the table match what was
// wanted last, and tries again while that fails. Package daemon makes one Keeper.
// Its methods may be called from any goroutine and never wait for the kernel.
//
// This is the only package that writes nftables, and package firewall reads what
// others have written there. This one does so with github.com/google/nftables, which
// brings github.com/mdlayher/netlink; links, routes and neighbors are read with
// github.com/vishvananda/netlink, in pkg/hostwatch. google/nftables is taken from its
// main branch, because its last release, v0.3.0, ignores the flags of a table and
// with them the owner.
package consume
