// SPDX-License-Identifier: Apache-2.0

//go:build !full

package integration

// remembered is how many solicitations the daemon takes while its memory is watched: more
// than anything in it has room for.
const remembered = 1_500_000
