// SPDX-License-Identifier: Apache-2.0

// Package daemon wires configuration, store and uplinks together and runs them:
// it follows the node's links, reloads, serves metrics and health, and answers
// on the control socket.
//
// [Run] is the daemon; the commands call it once. One goroutine, the
// supervisor's, changes uplinks and publishes tables; everything else reads
// under its lock. [Client] is the other end of the control socket, for the
// commands that ask a running daemon.
package daemon
