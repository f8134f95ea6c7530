// SPDX-License-Identifier: Apache-2.0

package inspect

import "github.com/ndproxyd/ndproxyd/internal/discover"

// ClusterResponder is a program of the cluster that is told to answer solicitations.
type ClusterResponder struct {
	// Name is the program's, and Object what tells it to.
	Name, Object string
	// Pods and Services are what it answers for.
	Pods, Services bool
}

// ClusterResponders returns findings about programs of the cluster that answer for what
// the rules are for, too. That is certain of Calico's service addresses: it gives each to
// a node of its own choice. A pod it answers for on the pod's own node, and the other
// programs may be for other services.
func ClusterResponders(rs []ClusterResponder, needs discover.Needs) []Finding {
	var found []Finding
	for _, r := range rs {
		f := Finding{Reason: reasonResponder, Severity: Info}
		switch {
		case r.Services && r.Pods && needs.Services:
			f.Severity = Warning
			f.Problem = r.Name + " answers for service addresses and pods in the link's own prefix (" + r.Object + ")"
			f.Effect = "solicitations for these service addresses get answers of two nodes, as it chooses another node than ndproxyd does"
			f.Remedy = "let only one of them answer: set the FelixConfiguration to localSubnetL2Reachability: Disabled, or take the rules for services out"
		case r.Services && needs.Services:
			f.Problem = r.Name + " announces service addresses on the link (" + r.Object + ")"
			f.Effect = "an address that it announces, and that a rule is for, is answered for by two nodes"
			f.Remedy = "nothing has to be done where they are for different services; otherwise narrow one of them by class, label or address: kubernetes.services of the configuration, or the " + r.Object
		case r.Pods && (needs.Pods || needs.Prefixes):
			f.Problem = r.Name + " answers for pods in the link's own prefix (" + r.Object + ")"
			f.Effect = "solicitations for these pods get two answers, both of the pod's node"
			f.Remedy = "let only one of them answer: set the FelixConfiguration to localSubnetL2Reachability: Disabled, or take the rules for pods out"
		default:
			continue
		}
		found = append(found, f)
	}
	return found
}
