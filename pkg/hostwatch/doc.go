// SPDX-License-Identifier: Apache-2.0

// Package hostwatch tells what the kernel knows of the node's interfaces, by
// rtnetlink.
//
// [Watcher] is the one socket that hears of changes; [ReadLink] is the state of
// one interface at the moment of the call. An event only says what to read
// again, so a lost event costs a reading and never a wrong state. The daemon
// runs one Watcher; ReadLink may be called from any goroutine.
package hostwatch
