// SPDX-License-Identifier: Apache-2.0

// Package behind decides whether a route leads behind this node: whether packets
// for its prefix that arrive on an uplink leave by another link, so that the node
// may answer solicitations for these addresses.
//
// A [Judge] applies a [Policy], a table of device names and kinds, to the routes
// and devices that package hostwatch knows. It is the only place that decides
// this: the store's kernel entries, explain, check and discovery all ask it, and
// get the same answer with the same reason.
//
// Package daemon makes one Judge. Its methods may be called from any goroutine.
// None of them waits for the kernel.
package behind
