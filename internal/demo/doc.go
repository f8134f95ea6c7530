// SPDX-License-Identifier: Apache-2.0

// Package demo shows the daemon's main job on a network of its own: a router
// that cannot reach a pod, the daemon starting, and the router reaching it.
// The command of that name calls it; it touches nothing of the host.
package demo
