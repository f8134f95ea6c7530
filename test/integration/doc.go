// SPDX-License-Identifier: Apache-2.0

// Package integration tests the running daemon with the Linux kernel as router,
// node and switch, in private network namespaces. The tests need root.
package integration
