// SPDX-License-Identifier: Apache-2.0

// Package lab builds small networks out of private network namespaces, with
// netlink and without any program or name of the host: nothing is left of them
// when the process ends, however it ends. The demonstration and the tests that
// need a real kernel use it. It needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN.
package lab
