// SPDX-License-Identifier: Apache-2.0

// Package control is the control socket: the [Server] through which a running
// daemon answers the commands "status", "explain" and "watch", and the [Client]
// that these use. What goes over the socket is JSON of package status.
//
// Package daemon runs the Server as a task and implements [Daemon]; the commands
// make a Client. The server answers each connection in a goroutine of its own and
// calls Daemon from any of them, so Daemon must be safe for concurrent use. It
// never waits for Daemon longer than a few seconds.
//
// Any user of the host can connect to an abstract socket. So the peer's
// credentials are read when a connection is accepted, before a byte of it: only
// root and the daemon's own user get as far as HTTP.
package control
