// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Responder is a program of the cluster that is told to answer solicitations.
type Responder struct {
	// Name is the program's, and Object what tells it to.
	Name, Object string
	// Pods and Services are what it answers for.
	Pods, Services bool
}

// Responders returns those other programs on this node that objects of the cluster tell
// to answer solicitations. What the account may not read, and what the server does not
// have or does not tell within a few seconds, is left out.
func (c *Client) Responders(ctx context.Context, node string) []Responder {
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	var all []Responder
	for _, r := range calicoResources() {
		r.Resource = "felixconfigurations"
		if value, ok := c.felixReachability(ctx, r, node); ok {
			if value != "" && value != "Disabled" {
				all = append(all, Responder{Name: "Calico", Object: "localSubnetL2Reachability: " + value + " of the FelixConfiguration", Pods: true, Services: true})
			}
			break
		}
	}
	for _, announcer := range []struct {
		name, kind string
		resource   schema.GroupVersionResource
	}{
		{"Cilium", "CiliumL2AnnouncementPolicy", schema.GroupVersionResource{Group: "cilium.io", Version: "v2alpha1", Resource: "ciliuml2announcementpolicies"}},
		{"MetalLB", "L2Advertisement", schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "l2advertisements"}},
	} {
		list, err := c.dynamic.Resource(announcer.resource).List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil && len(list.Items) > 0 {
			all = append(all, Responder{Name: announcer.name, Object: announcer.kind + " " + list.Items[0].GetName(), Services: true})
		}
	}
	return all
}

// felixReachability returns the setting by which Calico answers for addresses in the
// node's own subnets, that of the node before that of the cluster, and false where the
// cluster's cannot be read.
func (c *Client) felixReachability(ctx context.Context, r schema.GroupVersionResource, node string) (value string, ok bool) {
	for _, name := range []string{"node." + node, "default"} {
		object, err := c.dynamic.Resource(r).Get(ctx, name, metav1.GetOptions{})
		if ok = err == nil; !ok {
			continue
		}
		if value, _, _ = unstructured.NestedString(object.Object, "spec", "localSubnetL2Reachability"); value != "" {
			return value, true
		}
	}
	return "", ok
}
