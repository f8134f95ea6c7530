// SPDX-License-Identifier: Apache-2.0

package fastpath

// The program's objects are committed, so that building the daemon takes Go alone. "make
// generate" makes them anew, and "make lint" compares.
//
//go:generate bpf2go -target bpfel,bpfeb -type facts -type deadlines -type counts -cflags "-O2 -Wall -Werror -mcpu=v3" program bpf/answer.c
