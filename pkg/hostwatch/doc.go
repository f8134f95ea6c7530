// SPDX-License-Identifier: Apache-2.0

// Package hostwatch tells what the kernel knows of the node, by rtnetlink: its
// interfaces, and what its routes say about where an address lives.
//
// [Watcher] is the one socket that hears of changes. For interfaces an event
// only says what to read again with [ReadLink]; a lost event costs a reading and
// never a wrong state. Routes are too many for that: [Routes] is a copy of the
// kernel's tables that follows the events, and is read anew when some were lost.
// It turns them into entries for package rules, and knows the next hops.
//
// The daemon runs one Watcher, whose goroutine writes the Routes. They, and
// ReadLink, may be used from any goroutine.
package hostwatch
