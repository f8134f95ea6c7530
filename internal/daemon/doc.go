// SPDX-License-Identifier: Apache-2.0

// Package daemon wires the parts of ndproxyd together: it makes the store, the
// uplinks, the evidence and the pages, and runs them as tasks.
//
// [Run] is the daemon; the commands call it once. The reconciler is the only
// part with a goroutine of its own here: it brings uplinks, rules and settings
// into line with the configuration and the kernel, and reloads. Everything that
// others ask, status, explain and metrics, is read from snapshots, from any
// goroutine.
package daemon
