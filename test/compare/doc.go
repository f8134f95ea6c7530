// SPDX-License-Identifier: Apache-2.0

// Package compare puts ndproxyd and Debian's ndppd on the same links with the
// same ndppd.conf, and prints side by side what each does. What ndproxyd does is
// asserted; "make compare" names an ndppd by the variable NDPPD, and without one
// its column is left out.
package compare
