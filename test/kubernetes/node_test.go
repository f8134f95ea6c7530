// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"crypto/sha3"
	"encoding/base32"
	"fmt"
	"net/netip"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

const nodeRules = "rules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: node}\n"

// blockAffinities is the part of Calico's definition that the API server needs.
const blockAffinities = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: blockaffinities.crd.projectcalico.org}
spec:
  group: crd.projectcalico.org
  scope: Cluster
  names: {kind: BlockAffinity, listKind: BlockAffinityList, plural: blockaffinities, singular: blockaffinity}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            spec:
              type: object
              required: [cidr, deleted, node, state]
              properties:
                cidr: {type: string}
                deleted: {type: string}
                node: {type: string}
                state: {type: string}
                type: {type: string}
`

const ciliumNodes = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ciliumnodes.cilium.io}
spec:
  group: cilium.io
  scope: Cluster
  names: {kind: CiliumNode, listKind: CiliumNodeList, plural: ciliumnodes, singular: ciliumnode}
  versions:
    - name: v2
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            spec: {type: object, x-kubernetes-preserve-unknown-fields: true}
`

// block writes a block affinity with Calico's label, or without as it was before
// v3.31.
func block(c *cluster.Cluster, name, node, cidr, state, deleted string, label bool) {
	labels := ""
	if label {
		sum := sha3.Sum256([]byte(node))
		labels = "\n  labels: {projectcalico.org/hostname-hash: " + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]) + "}"
	}
	c.Apply(fmt.Sprintf("apiVersion: crd.projectcalico.org/v1\nkind: BlockAffinity\nmetadata:\n  name: %s%s\nspec: {cidr: \"%s\", node: %s, state: %s, deleted: %q}\n",
		name, labels, cidr, node, state, deleted))
}

// TestNodePrefixes goes through the sources of a node's prefixes, from the last
// to the first, each of which replaces the one before.
func TestNodePrefixes(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	a, node := n.Asker(), n.Nodes[0]
	c.StartController() // whose IPAM gives the node a prefix
	d := run(t, node, "", nodeRules)
	from := func(source string) {
		t.Helper()
		d.Wait("prefixes of "+source, func(s status.Status) bool { return s.Cluster != nil && s.Cluster.PrefixSource == source })
	}
	from(k8swatch.FromPodCIDRs)
	object, err := c.Client.CoreV1().Nodes().Get(context.Background(), node.Name, metav1.GetOptions{})
	harness.Must(t, err)
	given := prefix(object.Spec.PodCIDR)
	a.WantAnswer(given.Addr().Next())
	a.WantSilence(addr("2001:db8:1:0:f:ffff::1"))

	annotate := func(key, value string) {
		t.Helper()
		_, err := c.Client.CoreV1().Nodes().Patch(context.Background(), node.Name, "application/merge-patch+json",
			fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, key, value), metav1.PatchOptions{})
		harness.Must(t, err)
	}
	steps := []struct {
		source string
		do     func()
		inside netip.Addr
	}{
		{k8swatch.FromKubeRouter, func() { annotate("kube-router.io/pod-cidrs", "10.0.0.0/24,2001:db8:1:0:f:1::/96") }, addr("2001:db8:1:0:f:1::5")},
		{k8swatch.FromOVNKubernetes, func() { annotate("k8s.ovn.org/node-subnets", `{"default":["10.0.0.0/24","2001:db8:1:0:f:2::/96"]}`) }, addr("2001:db8:1:0:f:2::5")},
		{k8swatch.FromCilium, func() {
			c.Apply(ciliumNodes) // appears when the daemon has run for a while
			c.Apply("apiVersion: cilium.io/v2\nkind: CiliumNode\nmetadata: {name: " + node.Name + "}\nspec: {ipam: {podCIDRs: [\"10.0.0.0/24\", \"2001:db8:1:0:f:3::/96\"]}}\n")
			annotate("network", "has begun")
		}, addr("2001:db8:1:0:f:3::5")},
		{k8swatch.FromCalico, func() {
			c.Apply(blockAffinities)
			block(c, "mine", node.Name, "2001:db8:1:0:f:4::/122", "confirmed", "false", true)
			annotate("network", "is another one")
		}, addr("2001:db8:1:0:f:4::5")},
	}
	before := given.Addr().Next()
	for _, s := range steps {
		s.do()
		from(s.source)
		a.WantAnswer(s.inside)
		a.WantSilence(before)
		before = s.inside
	}
	// Of Calico's blocks those count that are ours and confirmed.
	block(c, "pending", node.Name, "2001:db8:1:0:f:5::/122", "pending", "false", true)
	block(c, "deleted", node.Name, "2001:db8:1:0:f:6::/122", "confirmed", "true", true)
	block(c, "other", "elsewhere", "2001:db8:1:0:f:7::/122", "confirmed", "false", true)
	block(c, "more", node.Name, "2001:db8:1:0:f:8::/122", "confirmed", "false", true)
	a.WantAnswer(addr("2001:db8:1:0:f:8::1"))
	for i := 5; i < 8; i++ {
		a.WantSilence(addr(fmt.Sprintf("2001:db8:1:0:f:%d::1", i)))
	}
	block(c, "pending", node.Name, "2001:db8:1:0:f:5::/122", "confirmed", "false", true)
	a.WantAnswer(addr("2001:db8:1:0:f:5::1"))
	block(c, "mine", node.Name, "2001:db8:1:0:f:4::/122", "pendingDeletion", "false", true)
	a.WantSilence(before)

	// A pod has an address of another node's block, and another node one of ours.
	borrowed, lent := addr("2001:db8:1:0:f:7::9"), addr("2001:db8:1:0:f:8::9")
	c.CreatePod("borrower", node.Name, borrowed)
	a.WantAnswer(borrowed)
	harness.Must(t, node.Route(lent.String()+"/128", "2001:db8:1::99", harness.Uplink, onLink))
	a.WantSilence(lent)

	c.Delete(schema.GroupVersionResource{Group: "crd.projectcalico.org", Version: "v1", Resource: "blockaffinities"}, "more")
	a.WantSilence(addr("2001:db8:1:0:f:8::1"))
}

// TestOldCalico reads block affinities without Calico's label.
func TestOldCalico(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	c.Apply(blockAffinities)
	block(c, "mine", n.Nodes[0].Name, "2001:db8:1:0:f:4::/122", "confirmed", "false", false)
	block(c, "other", "elsewhere", "2001:db8:1:0:f:5::/122", "confirmed", "false", false)
	run(t, n.Nodes[0], "", nodeRules)
	a := n.Asker()
	a.WantAnswer(addr("2001:db8:1:0:f:4::1"))
	a.WantSilence(addr("2001:db8:1:0:f:5::1"))
}
