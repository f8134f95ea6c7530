// SPDX-License-Identifier: Apache-2.0

// Package plugins tests the daemon beside real network plugins: flannel, kube-router and
// Cilium, each with its own agents on two nodes, against a real API server. The test is
// the kubelet: it calls the plugin by CNI, and writes the pods' objects. The tests have
// the build tag full.
package plugins
