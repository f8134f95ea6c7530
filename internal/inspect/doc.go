// SPDX-License-Identifier: Apache-2.0

// Package inspect finds what about the host keeps answers from being of use:
// forwarding that is off, a rule that leads nowhere, another responder on the
// link. Each [Finding] says what is wrong, what follows from it, and what puts it
// right.
//
// [Findings] is pure; [ReadWay] and package hostwatch read what it draws on. A remedy
// is a command where there is one, and a test follows it (test/integration/mends*).
//
// Package daemon calls Findings at each load for its log, and at each scrape for the
// misconfiguration metric; [Host] does for the check command, which runs without a
// daemon. Of this node's cluster [Cluster] and [ClusterResponders] tell, which are pure:
// the daemon calls the first, the command both. [UnicastErrors] keeps the little state
// that a finding about the last minutes needs; it may be used from any goroutine,
// as everything here may.
package inspect
