// SPDX-License-Identifier: Apache-2.0

// Package ownership decides which node answers for which service address.
//
// Every announcer computes the same order of nodes for an address from what all
// announcers say of themselves in their leases ([Announcer]); the first of them
// is the owner, the second the backup. That takes no message for a service, and
// moves only the share of a node that comes or goes. [Election] holds one
// announcer's view. What the API server cannot tell, since it is away or late,
// the link does: each announcer asks the owners whether they are alive, and
// listens to who announces what.
//
// The daemon's loop calls an Election under its lock. It has no clock, no socket
// and no client of its own.
package ownership
