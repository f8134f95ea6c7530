// SPDX-License-Identifier: Apache-2.0

// Package kernels shows that the program in the kernel is taken by the verifiers of several
// kernels, answers there, and can be attached in each way.
//
// Its tests run on this host as any others. With the tag full they are also compiled for the
// processors of a table, and run as the first process of Debian's kernels, which qemu
// emulates: see TestKernels. So what runs there is what runs here, with nothing else of a
// distribution beside it.
package kernels
