// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	ovnSubnets      = "k8s.ovn.org/node-subnets"
	kubeRouterCIDR  = "kube-router.io/pod-cidr"
	kubeRouterCIDRs = "kube-router.io/pod-cidrs"
	outOfService    = "node.kubernetes.io/out-of-service"
)

// The sources of a node's prefixes, in the order in which the first that has any
// is taken. Node.spec.podCIDRs comes last: where a network allocates by itself,
// nobody uses it.
const (
	FromCalico        = "Calico block affinities"
	FromCilium        = "CiliumNode"
	FromOVNKubernetes = "OVN-Kubernetes annotation"
	FromKubeRouter    = "kube-router annotation"
	FromPodCIDRs      = "Node.spec.podCIDRs"
)

// nodeFacts are what counts of a Node.
type nodeFacts struct {
	UID                       string
	OVN, KubeRouter, PodCIDRs []netip.Prefix
	NodeState
}

// NodeState is what a Node says of its own fitness for services.
type NodeState struct {
	// Excluded says why the node should not answer for services, "" if it may.
	Excluded string
	// Cordoned is true for a node that takes no new pods.
	Cordoned bool
}

func readNode(object any) (nodeFacts, bool) {
	n, ok := object.(*corev1.Node)
	if !ok {
		return nodeFacts{}, false
	}
	f := nodeFacts{
		UID: string(n.UID), PodCIDRs: prefixes(n.Spec.PodCIDRs), OVN: ovnPrefixes(n.Annotations[ovnSubnets]),
		NodeState: NodeState{Excluded: excluded(n), Cordoned: n.Spec.Unschedulable},
	}
	if f.KubeRouter = prefixes([]string{n.Annotations[kubeRouterCIDR]}); len(f.KubeRouter) == 0 {
		f.KubeRouter = prefixes(strings.Split(n.Annotations[kubeRouterCIDRs], ","))
	}
	if len(f.PodCIDRs) == 0 {
		f.PodCIDRs = prefixes([]string{n.Spec.PodCIDR})
	}
	return f, true
}

// excluded says what keeps a node from answering for services.
func excluded(n *corev1.Node) string {
	if _, set := n.Labels[corev1.LabelNodeExcludeBalancers]; set {
		return "label " + corev1.LabelNodeExcludeBalancers
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeNetworkUnavailable && c.Status == corev1.ConditionTrue {
			return "condition " + string(c.Type)
		}
	}
	for _, t := range n.Spec.Taints {
		if t.Key == outOfService {
			return "taint " + outOfService
		}
	}
	return ""
}

// ovnPrefixes reads OVN-Kubernetes' annotation: the default network's subnet, or
// a list of them.
func ovnPrefixes(annotation string) []netip.Prefix {
	var networks map[string]json.RawMessage
	if annotation == "" || json.Unmarshal([]byte(annotation), &networks) != nil {
		return nil
	}
	var one string
	if json.Unmarshal(networks["default"], &one) == nil {
		return prefixes([]string{one})
	}
	var several []string
	if json.Unmarshal(networks["default"], &several) != nil {
		return nil
	}
	return prefixes(several)
}

// prefixes returns the IPv6 prefixes among words, in order and once each.
func prefixes(words []string) []netip.Prefix {
	var ps []netip.Prefix
	for _, w := range words {
		if p, err := netip.ParsePrefix(strings.TrimSpace(w)); err == nil && usable(p.Addr()) && p.Bits() > 0 {
			ps = append(ps, p.Masked())
		}
	}
	slices.SortFunc(ps, netip.Prefix.Compare)
	return slices.Compact(ps)
}
