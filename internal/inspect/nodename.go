// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/status"
)

// Cluster returns findings about this node in its cluster, on each of the uplinks; c is
// nil without Kubernetes.
func Cluster(c *status.Cluster, uplinks []string) []Finding {
	return append(NodeName(c, uplinks), Permissions(c, uplinks)...)
}

// Unreachable returns the finding of an API server that could not be asked about this
// node.
func Unreachable(server string, err error) Finding {
	return Finding{
		Reason: reasonServer, Severity: Warning, Problem: "the API server " + server + " could not be asked: " + err.Error(),
		Effect: "whether the cluster has this node, and what the account may read, was not looked at; a daemon answers for what its snapshot has meanwhile",
		Remedy: "correct kubernetes.server or kubernetes.kubeconfig, or look again when the API server answers",
	}
}

// NodeName returns findings about the name by which the cluster knows this node, on each
// of the uplinks; c is nil without Kubernetes.
func NodeName(c *status.Cluster, uplinks []string) []Finding {
	var found []Finding
	if c == nil {
		return nil
	}
	for _, name := range uplinks {
		at := Finding{Interface: name, Severity: Warning, Remedy: "write the name of the Node into kubernetes.node, or $NODE_NAME"}
		if c.NodeAbsent {
			f := at
			f.Reason, f.Problem = reasonNodeName, "the cluster has no Node "+c.Node
			f.Effect = "nothing is known of this node's pods and prefixes, and the daemon is not ready"
			if len(c.NodesAlike) > 0 {
				f.Problem += "; it has " + strings.Join(c.NodesAlike, ", ")
			}
			found = append(found, f)
		}
		if c.Namesake != "" {
			f := at
			f.Reason, f.Problem = reasonNamesake, c.Namesake+" has the node name "+c.Node+", too, and had it first"
			f.Effect = "this node owns no service address, and answers for no pod"
			found = append(found, f)
		}
	}
	return found
}
