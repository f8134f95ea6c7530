// SPDX-License-Identifier: Apache-2.0

// Package allocator gives services of the type LoadBalancer their addresses, as a cloud's
// controller does elsewhere: it follows services, has package pools choose, and writes
// their status. The agents answer for these addresses like for any other.
//
// It is a program of its own, cmd/ndproxyd-allocator, for two reasons: an agent, which
// runs on every node's network, needs no right to write services; and the client that
// leader election takes costs 9 MiB a process, which the nodes do not pay.
//
// [Run] is called once. Of several programs one leads, by a lease and client-go's leader
// election, and it alone assigns: one goroutine takes the services one by one, and owns
// the table. Who loses the lease ends, and is started again by the kubelet.
package allocator
