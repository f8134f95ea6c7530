// SPDX-License-Identifier: Apache-2.0

// Package rules decides for which addresses the node answers, and for which it
// stays silent. It performs no I/O and imports nothing else of this project;
// every other package depends on it and never the other way round.
//
// A [Rule] is what the operator wrote; an [Entry] is a fact that a [Source] reports.
// The [Store] compiles both into a [Table] with one longest-prefix-match [View] for
// each uplink, and publishes it together with the differences to the table before.
// The methods, the sources and the reasons of silence are rows of the three tables
// in evidence.go: a new kind of evidence adds its rows there. [Link] and [Uplink]
// are the facts and the settings of one network interface; they live here so that
// packages which do not import each other can exchange them.
//
// A Table and a View never change once they are published, so any number of
// goroutines may read them. Store is safe for concurrent use: readers do one
// atomic load, writers take its mutex. Followers run under that mutex, so they only
// pass the change on and never wait.
package rules
