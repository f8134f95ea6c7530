// SPDX-License-Identifier: Apache-2.0

// Package ownership decides which node answers for which service address.
//
// Every announcer computes the same order of nodes for an address from what all
// announcers say of themselves in their leases ([Announcer]); the first of them
// is the owner, the second the backup. That takes no message for a service, and
// moves only the share of a node that comes or goes. [Election] holds one
// announcer's view. What the API server cannot tell, because it is away or late,
// the link does: each announcer asks the owners whether they are alive, and
// listens to who announces what.
//
// An Election is pure state: it has no clock, no socket, no client and no lock.
// Package cluster calls it with its own lock held, hands it leases, services and
// signs, sends the questions that it returns, and puts its changes in force.
package ownership
