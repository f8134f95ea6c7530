// SPDX-License-Identifier: Apache-2.0

// Package status holds what a running daemon tells of itself: the types that
// "ndproxyd status", explain and watch exchange as JSON, and their text for
// people. It asks nobody anything.
//
// Packages cluster, uplink and daemon fill these types in, packages control and
// web show them. All of it is data and pure functions.
package status
