// SPDX-License-Identifier: Apache-2.0

// Package k8swatch tells what a Kubernetes cluster says about one node: the
// addresses of its pods, the prefixes that it was given, and the addresses of
// services with the nodes that may answer for them. It has not heard of packets.
//
// [Connect] makes a [Client], and [New] a [Watcher], whose Run follows the API
// server until its context ends. What was learned stays as it is while the server
// is away. The [Handler] is called by one goroutine at a time.
package k8swatch
