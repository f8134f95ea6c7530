// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// previewTime bounds all requests of a preview together.
const previewTime = 5 * time.Second

// Preview is what can be known of a cluster before a watcher runs.
type Preview struct {
	// Absent is true where the cluster has no Node of this node's name, and Alike are
	// the names of its Nodes that are like it.
	Absent bool
	Alike  []string
	// Refused are the requests of a watcher that the account may not make.
	Refused []Refusal
}

// Refusal is a request that an account may not make.
type Refusal struct {
	// Source is what a watcher calls the objects in its status.
	Source string
	// Verb, Group, Resource and Namespace name the request as RBAC does; Namespace is
	// "" for all of them.
	Verb, Group, Resource, Namespace string
}

// String is the sentence by which the API server refuses the request.
func (r Refusal) String() string {
	s := fmt.Sprintf("cannot %s resource %q in API group %q", r.Verb, r.Resource, r.Group)
	if r.Namespace != "" {
		s += fmt.Sprintf(" in the namespace %q", r.Namespace)
	}
	return s
}

// permissions are the verbs that a watcher needs for one kind of objects.
type permissions struct {
	source    string
	resource  schema.GroupResource
	namespace string
	verbs     []string
	// field and value select the objects, both "" for all: the node authorizer goes by
	// them.
	field, value string
	// api is where the objects are, for those that not every cluster has.
	api schema.GroupVersionResource
}

// permissionsFor lists what a watcher with that configuration needs. Endpoints are
// followed only while a service has a Local policy, which may come at any time.
func permissionsFor(c Config) []permissions {
	read, n := []string{"list", "watch"}, c.Needs
	core := func(resource string) schema.GroupResource { return schema.GroupResource{Resource: resource} }
	var all []permissions
	if n.node() {
		all = append(all, permissions{source: SourceNodes, resource: core("nodes"), verbs: read, field: "metadata.name", value: c.Node})
	}
	if n.pods() {
		all = append(all, permissions{source: SourcePods, resource: core("pods"), verbs: read, field: "spec.nodeName", value: c.Node})
	}
	if n.Services {
		all = append(all,
			permissions{source: SourceNodeAddresses, resource: core("nodes"), verbs: read},
			permissions{source: SourceServices, resource: core("services"), verbs: read},
			permissions{source: SourceEndpointSlices, resource: schema.GroupResource{Group: "discovery.k8s.io", Resource: "endpointslices"}, verbs: read})
	}
	leases := schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	if n.Leases {
		all = append(all,
			permissions{source: SourceLeases, resource: leases, namespace: c.Namespace, verbs: read},
			permissions{source: SourceOwnLease, resource: leases, namespace: c.Namespace, verbs: []string{"get", "create", "update", "delete"}})
	}
	var optional []schema.GroupVersionResource
	// Unless one is pinned, a source that may not be read stays in the way of the next.
	if c.asks(keyCalico) {
		optional = append(optional, calicoResources()...)
	}
	if c.asks(keyCilium) {
		optional = append(optional, ciliumResource())
	}
	if n.ServiceCIDRs {
		optional = append(optional, networkingv1.SchemeGroupVersion.WithResource("servicecidrs"))
	}
	for _, r := range optional {
		all = append(all, permissions{source: name(r), resource: r.GroupResource(), verbs: read, api: r})
	}
	return all
}

// Preview asks the server whether it has the Node, and what the account may do of that
// which a watcher with that configuration needs. It writes nothing, and takes no
// permission that an account does not have by itself. The error is one of the way to
// the server.
func (c *Client) Preview(ctx context.Context, config Config) (Preview, error) {
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	var p Preview
	for _, needed := range permissionsFor(config) {
		for _, verb := range needed.verbs {
			may, err := c.may(ctx, needed, verb)
			if err != nil {
				return Preview{}, fmt.Errorf("ask what the account may do: %w", err)
			}
			if !may && (needed.api.Empty() || !c.isAbsent(ctx, needed.api)) {
				p.Refused = append(p.Refused, Refusal{needed.source, verb, needed.resource.Group, needed.resource.Resource, needed.namespace})
			}
		}
	}
	nodes, err := c.typed.nodes().List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + config.Node})
	switch {
	case apierrors.IsForbidden(err): // of which Refused tells
		return p, nil
	case err != nil:
		return Preview{}, fmt.Errorf("look for the node %s: %w", config.Node, err)
	case len(nodes.Items) > 0:
		return p, nil
	}
	p.Absent = true
	names, err := c.typed.nodeNames(ctx)
	if err == nil { // else there is nothing to suggest
		p.Alike = alike(config.Node, names)
	}
	return p, nil
}

// may reports whether the account may make a request.
func (c *Client) may(ctx context.Context, p permissions, verb string) (bool, error) {
	asked := authorizationv1.ResourceAttributes{Verb: verb, Group: p.resource.Group, Resource: p.resource.Resource, Namespace: p.namespace}
	if p.field != "" {
		asked.FieldSelector = &authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{
			{Key: p.field, Operator: metav1.FieldSelectorOpIn, Values: []string{p.value}},
		}}
	}
	answer, err := c.typed.selfReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &asked},
	})
	if err != nil {
		return false, err
	}
	return answer.Status.Allowed, nil
}
