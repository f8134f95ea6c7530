// SPDX-License-Identifier: Apache-2.0

// Package rules decides for which addresses the node answers, and for which it
// stays silent. It performs no I/O and imports nothing else of this project;
// every other package depends on it and never the other way round.
//
// It holds the operator's [Rule], the [Entry] that a source of evidence reports,
// and the [Store], which makes a [Table] of both, with one longest-prefix match
// [View] for each uplink, and publishes it together with the difference to the
// last one. [Link] and [Uplink] are the facts and the settings of one network
// interface, which packages that do not know each other speak of.
//
// A Table and a View never change once they are published, so any number of
// goroutines may read them. Store is safe for concurrent use: readers take one
// atomic load, publishers are serialized.
package rules
