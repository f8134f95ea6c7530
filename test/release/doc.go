// SPDX-License-Identifier: Apache-2.0

// Package release looks at what "make release" has built: checksums, packages, image
// and chart. "make test-full" builds it, and runs this with the tag full; what the
// parts do is for test/systemd and test/kubernetes/node.
package release
