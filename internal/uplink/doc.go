// SPDX-License-Identifier: Apache-2.0

// Package uplink is the life of the interfaces that solicitations arrive on.
//
// An [Uplink] is a task of its own: one goroutine owns its state and is the only
// one that touches its socket. Everything else reaches it by messages, which
// never block the sender: what comes faster than it can be handled is merged. So
// a slow, stuck or vanishing uplink delays nobody. A [Set] holds the uplinks of
// the configuration.
//
// Package daemon makes the Set, and tells it of links, tables and settings.
// [Uplink.Facts] may be read from any goroutine; it is an immutable snapshot
// that costs an atomic load.
package uplink
