// SPDX-License-Identifier: Apache-2.0

// Package node installs the chart with Helm on nodes with a real kubelet and a real
// containerd. "make test-full" builds what it needs, and runs it with the tag full.
package node
