// SPDX-License-Identifier: Apache-2.0

// Package probe finds out which targets of probe rules are alive. [Prober] is the
// task that asks for them behind the node, publishes in the store those that have
// answered, and then settles the solicitations that waited for that. It also makes
// the host routes of autowire.
//
// What is asked when is decided by ndp.Prober, which is pure; this package brings
// it together with the probe socket, the store, the facts of devices and the
// kernel's neighbor table.
//
// Package daemon makes one Prober. Its Run is the only goroutine that touches the
// table of targets, and does all I/O without a lock. The listeners call
// [Prober.Ask]; whoever follows the kernel and the rules calls the other methods.
// All of them may be called from any goroutine and never block: they put into a
// [mailbox], where what is said twice is kept once.
package probe
