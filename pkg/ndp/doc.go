// SPDX-License-Identifier: Apache-2.0

// Package ndp answers Neighbor Solicitations for addresses that live behind
// the node, as a proxy in the sense of RFC 4861 §7.2.8.
//
// [Respond] is the protocol: a pure function from a frame, the facts of the
// interface and the rules' view to an advertisement or a [Reason]. It needs no
// privilege, allocates nothing and may be called from any number of goroutines.
//
// Around it stands the socket: [Listener] owns a packet socket with its filter
// and receive ring, and runs one goroutine that reads, answers and counts.
// [Membership] makes multicast solicitations reach the interface. The daemon
// creates both for each uplink and replaces them when the device changes. The
// Listener's methods may be called from any goroutine, the Membership's from one
// at a time.
//
// [Announcer], [Claims] and [Prober] decide what is sent without being asked: to
// whom an address has appeared, who else has it, and whether a target is there.
// They have neither clock nor socket; one goroutine at a time may use each.
package ndp
