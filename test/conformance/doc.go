// SPDX-License-Identifier: Apache-2.0

// Package conformance is the protocol as a table: one readable frame for each
// rule of docs/conformance.md, with the answer or the reason for silence.
//
// The tests run the table five ways: through the pure function; through the program
// in the kernel, whose octets are compared with the function's; on the wire between
// network namespaces against the running daemon, with the packet socket alone; the
// same with each way to attach the program; and against the kernel's own proxy
// wherever the table says that the kernel is right. Other packages take the frames
// as seeds for fuzzing.
package conformance
