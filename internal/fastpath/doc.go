// SPDX-License-Identifier: Apache-2.0

// Package fastpath answers solicitations in the kernel: a program at tc ingress or at
// XDP that has the same table as the packet socket, and answers where the answer follows
// from the frame and the table alone. What it does not decide it passes up, and the
// packet socket of package ndp, which always stands behind it, answers as it does without
// a program.
//
// [Listen] opens both for an uplink, as an [ndp.Responder]. The uplink's task calls it;
// what it may call at once is said there. Behind it are
//
//   - facts and lines, what an interface and a verdict are in the program's words (pure),
//   - table, which brings the program's maps into line with a view (pure, over the maps),
//   - a hook, which attaches the program, and the folder that pins it.
//
// [Detach] removes what a daemon that no longer runs has left; the command "ndproxyd
// detach" calls it.
//
// bpf/answer.c is the program, and bpf/table.h what it shares with the daemon. Its objects
// are made by "make generate" and committed, so that building the daemon takes no compiler
// for them.
package fastpath
