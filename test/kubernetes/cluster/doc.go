// SPDX-License-Identifier: Apache-2.0

// Package cluster starts a real control plane, and nodes on one link, in network
// namespaces: kube-apiserver, etcd, kube-controller-manager and kube-proxy as
// they are released. What is not there is a kubelet: tests write Nodes and Pods
// as it would.
package cluster
