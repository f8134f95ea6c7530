// SPDX-License-Identifier: Apache-2.0

// Package pools decides which address of which pool a service of the type LoadBalancer
// gets. It knows no API server: package allocator hands it what services ask for, and
// writes what it decides.
//
// A [Table] is in memory alone, is made anew from the services' status by whoever
// becomes the leader, and is for one goroutine.
package pools
