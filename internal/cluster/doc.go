// SPDX-License-Identifier: Apache-2.0

// Package cluster turns what a Kubernetes API server and the other announcers on
// the link say into entries of the store: the addresses of this node's pods, the
// prefixes of the node, and the service addresses with their owner.
//
// A [Manager] is one task of the daemon. It holds the cluster of the present
// configuration and keeps what it knows across reloads. Package k8swatch follows
// the API server, package ownership elects the owners; this package carries facts
// from the one to the other, and decisions into the store. It knows nothing of
// sockets: what is to be sent goes to [Uplinks].
//
// # What may run at once
//
// All methods of Manager may be called from any goroutine. One mutex of the
// Manager guards everything it knows, and is held for work in memory only. Locks
// are taken in this order, and never the other way round:
//
//  1. the lock of the watcher of package k8swatch, which calls its handler with
//     it held,
//  2. the lock of the Manager,
//  3. the lock of [rules.Store], whose followers only post into mailboxes, and
//     that of the outbox.
//
// So nothing that holds the Manager's lock calls a method of the watcher that
// takes the watcher's: only Announce, Renew and Emit, none of which blocks.
// Messages to the uplinks and to the daemon go through an outbox that a goroutine
// of Run empties without any lock, so that whoever is slow to take them delays
// neither the election, nor status, nor a reload. What has an order with the tables
// of the store is no message, but part of an entry: when an address is no longer
// announced, for one.
package cluster
