// SPDX-License-Identifier: Apache-2.0

//go:build full

package integration

// remembered is how many solicitations the daemon takes while its memory is watched.
const remembered = 10_000_000
