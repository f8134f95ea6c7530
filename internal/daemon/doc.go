// SPDX-License-Identifier: Apache-2.0

// Package daemon wires configuration, store and uplinks together and runs them:
// it follows the node's links, reloads, serves metrics and health, and answers
// on the control socket.
//
// [Run] is the daemon; the commands call it once. The supervisor's loop
// changes uplinks and rules, the watcher and the prober publish what they learn;
// all of them, and who reads, hold the supervisor's lock. [Inspect] looks at the
// host for the check command, without a daemon. [Client] is the other end of the control socket, for the
// commands that ask a running daemon.
package daemon
