// SPDX-License-Identifier: Apache-2.0

// Package k8swatch tells what a Kubernetes cluster says about one node: the
// addresses of its pods, the prefixes that it was given, and the addresses of
// services with the nodes that may answer for them. It has not heard of packets.
//
// [Connect] makes a [Client], and [New] a [Watcher], whose Run follows the API
// server until its context ends. What was learned stays as it is while the server
// is away. Package cluster is the caller.
//
// All methods of a Watcher may be called from any goroutine. One mutex guards what
// it knows, and the [Handler] is called with it held, one call at a time: whatever
// lock the handler takes comes after it. No request, no file and no encoding of the
// snapshot is waited for under it.
package k8swatch
