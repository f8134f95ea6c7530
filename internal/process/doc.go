// SPDX-License-Identifier: Apache-2.0

// Package process binds the process to its host: the lock against a second
// daemon, the service manager, the log's format, the start in the background, and who is at
// the other end of a unix socket. It knows nothing of uplinks.
//
// Package daemon takes the [Lock], and reports to the service manager through
// a [Notifier]; package control asks who its clients and servers are; the command ndppd
// starts its daemon with [Detach]. All
// exported functions and methods may be called from any goroutine.
package process
