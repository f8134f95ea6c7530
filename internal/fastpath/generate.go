// SPDX-License-Identifier: Apache-2.0

package fastpath

// The program's objects are committed, so that building the daemon takes Go alone. "make
// generate" makes them anew, and "make lint" compares. The instruction set has no registers
// of 32 bits (v3), because the compiler then spills halves of words to the stack, which
// verifiers as that of Linux 6.1 refuse without CAP_PERFMON when it does so twice.
//
//go:generate bpf2go -target bpfel,bpfeb -type facts -type deadlines -type counts -cflags "-O2 -Wall -Werror -mcpu=v2" program bpf/answer.c
