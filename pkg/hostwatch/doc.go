// SPDX-License-Identifier: Apache-2.0

// Package hostwatch tells what the kernel knows of this node: its interfaces,
// routes, policy rules and neighbors. It holds facts only. What they mean for
// answers is up to its callers; package behind decides where a route leads.
//
// A [Watcher] hears of changes by rtnetlink. Of an interface an event only says
// what to read again with [ReadLink], so that a lost event costs a reading and
// never leaves a wrong state. Routes are too many for that: [Routes] is a copy of
// the kernel's tables that follows the events. When events were lost, or did not
// tell all, the tables are read again beside the events. [Watcher.Stations] follows
// the forwarding tables of bridges in the same way.
//
// Two goroutines of [Watcher.Run] follow two sockets, one for links and routes and
// one for neighbors and forwarding tables, so that a flood of MAC addresses on a
// bridge delays no route. A third one reads routes when they have to be read anew.
// These goroutines call the functions of the [Handler]. Everything else, such as
// the methods of Routes and ReadLink, may be used from any goroutine.
//
// # Netlink libraries
//
// The module uses three ways to speak netlink, each for what the others cannot do:
//   - github.com/vishvananda/netlink reads and changes links, addresses and routes:
//     it knows the attributes of all kinds of links. It opens a socket for each
//     request, so it is not for what happens often.
//   - The socket of this package receives events. It takes many in one go into one
//     buffer, without an allocation for each, and tells when events were lost.
//   - github.com/mdlayher/netlink carries the nftables messages of package consume.
package hostwatch
