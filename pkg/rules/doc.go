// SPDX-License-Identifier: Apache-2.0

// Package rules decides for which addresses the node answers, and for which it
// stays silent. It performs no I/O and imports nothing else of this project;
// every other package depends on it and never the other way round.
//
// It holds the operator's [Rule], the compiled [Table] with one longest-prefix
// match [View] for each uplink, the [Store] that publishes tables, and [Link],
// the facts of one network interface that sources hand to the responder.
//
// A Table and a View never change once they are published, so any number of
// goroutines may read them. Store is safe for concurrent use: readers take one
// atomic load, publishers are serialized.
package rules
