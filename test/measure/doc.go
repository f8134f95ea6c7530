// SPDX-License-Identifier: Apache-2.0

// Package measure holds benchmarks of the running daemon on real links: how fast
// it follows the kernel's routes, what it costs to know many, what a scan does
// to it, and how fast a router follows an address that moves. They report
// figures and assert none but what must never happen; they need root.
//
//	go test -run '^$' -bench . ./test/measure
package measure
