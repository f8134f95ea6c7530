// SPDX-License-Identifier: Apache-2.0

// Package ndp answers Neighbor Solicitations for addresses that live behind
// the node, as a proxy in the sense of RFC 4861 §7.2.8.
//
// [Respond] is the protocol: a pure function from a frame, the facts of the
// interface and the rules' view to an advertisement or a [Reason]. It needs no
// privilege, allocates nothing and may be called from any number of goroutines.
// An [Interface] holds the facts, [InterfaceFacts] is their plain form.
//
// [Responder] is what answers on one device. [Listener] is one: it owns a packet
// socket with its filter and receive ring, and runs one goroutine that reads,
// answers and counts. [Membership] makes multicast solicitations reach the
// device. An uplink creates both and replaces them when the device changes. A
// Responder's methods may be called from any goroutine and never wait for the
// network; those of a Membership from one goroutine at a time.
//
// [Announcer], [Claims] and [Prober] decide what is sent without being asked:
// which address is announced when, which addresses other stations have, and which
// targets of probe rules are there. They take the time as a parameter, send
// nothing and have no goroutine; one goroutine at a time may use each. An uplink
// has an Announcer and Claims; the Prober is the probe task's, as is the
// [ProbeSocket].
package ndp
