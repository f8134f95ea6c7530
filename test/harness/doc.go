// SPDX-License-Identifier: Apache-2.0

// Package harness builds the daemon and runs it beside a router in private
// network namespaces, for the tests that need a real kernel. They need root and
// fail without it: a test that is skipped proves nothing.
package harness
