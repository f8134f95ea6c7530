// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// typed is a client of the few API groups that are used. The clientset of
// client-go knows all of them, which takes 13 MiB on a host without Kubernetes,
// too.
type typed struct {
	groups map[schema.GroupVersion]rest.Interface
	params runtime.ParameterCodec
}

func newTyped(config *rest.Config, hc *http.Client) (*typed, error) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	t := &typed{groups: make(map[schema.GroupVersion]rest.Interface), params: runtime.NewParameterCodec(scheme)}
	codecs := serializer.NewCodecFactory(scheme)
	for gv, add := range map[schema.GroupVersion]func(*runtime.Scheme) error{
		corev1.SchemeGroupVersion:           corev1.AddToScheme,
		discoveryv1.SchemeGroupVersion:      discoveryv1.AddToScheme,
		networkingv1.SchemeGroupVersion:     networkingv1.AddToScheme,
		coordinationv1.SchemeGroupVersion:   coordinationv1.AddToScheme,
		authenticationv1.SchemeGroupVersion: authenticationv1.AddToScheme,
		authorizationv1.SchemeGroupVersion:  authorizationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register %s: %w", gv, err)
		}
		c := rest.CopyConfig(config)
		c.GroupVersion, c.APIPath = &gv, "/apis"
		if gv.Group == "" {
			c.APIPath = "/api"
		}
		c.NegotiatedSerializer = codecs.WithoutConversion()
		client, err := rest.RESTClientForConfigAndClient(c, hc)
		if err != nil {
			return nil, err
		}
		t.groups[gv] = client
	}
	return t, nil
}

// resource is one kind of object with its lists, in a namespace unless that is "".
type resource[T, L runtime.Object] struct {
	client    rest.Interface
	params    runtime.ParameterCodec
	namespace string
	name      string
	object    func() T
	list      func() L
}

func (t *typed) nodes() resource[*corev1.Node, *corev1.NodeList] {
	return resource[*corev1.Node, *corev1.NodeList]{
		t.groups[corev1.SchemeGroupVersion], t.params, "", "nodes",
		func() *corev1.Node { return new(corev1.Node) }, func() *corev1.NodeList { return new(corev1.NodeList) },
	}
}

func (t *typed) pods() resource[*corev1.Pod, *corev1.PodList] {
	return resource[*corev1.Pod, *corev1.PodList]{
		t.groups[corev1.SchemeGroupVersion], t.params, "", "pods",
		func() *corev1.Pod { return new(corev1.Pod) }, func() *corev1.PodList { return new(corev1.PodList) },
	}
}

func (t *typed) services() resource[*corev1.Service, *corev1.ServiceList] {
	return resource[*corev1.Service, *corev1.ServiceList]{
		t.groups[corev1.SchemeGroupVersion], t.params, "", "services",
		func() *corev1.Service { return new(corev1.Service) }, func() *corev1.ServiceList { return new(corev1.ServiceList) },
	}
}

func (t *typed) events(namespace string) resource[*corev1.Event, *corev1.EventList] {
	return resource[*corev1.Event, *corev1.EventList]{
		t.groups[corev1.SchemeGroupVersion], t.params, namespace, "events",
		func() *corev1.Event { return new(corev1.Event) }, func() *corev1.EventList { return new(corev1.EventList) },
	}
}

func (t *typed) endpointSlices() resource[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList] {
	return resource[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList]{
		t.groups[discoveryv1.SchemeGroupVersion], t.params, "", "endpointslices",
		func() *discoveryv1.EndpointSlice { return new(discoveryv1.EndpointSlice) },
		func() *discoveryv1.EndpointSliceList { return new(discoveryv1.EndpointSliceList) },
	}
}

func (t *typed) serviceCIDRs() resource[*networkingv1.ServiceCIDR, *networkingv1.ServiceCIDRList] {
	return resource[*networkingv1.ServiceCIDR, *networkingv1.ServiceCIDRList]{
		t.groups[networkingv1.SchemeGroupVersion], t.params, "", "servicecidrs",
		func() *networkingv1.ServiceCIDR { return new(networkingv1.ServiceCIDR) },
		func() *networkingv1.ServiceCIDRList { return new(networkingv1.ServiceCIDRList) },
	}
}

func (t *typed) leases(namespace string) resource[*coordinationv1.Lease, *coordinationv1.LeaseList] {
	return resource[*coordinationv1.Lease, *coordinationv1.LeaseList]{
		t.groups[coordinationv1.SchemeGroupVersion], t.params, namespace, "leases",
		func() *coordinationv1.Lease { return new(coordinationv1.Lease) },
		func() *coordinationv1.LeaseList { return new(coordinationv1.LeaseList) },
	}
}

// A review has no list: its second type is there for the shape alone.
func (t *typed) tokenReviews() resource[*authenticationv1.TokenReview, *metav1.Status] {
	return resource[*authenticationv1.TokenReview, *metav1.Status]{
		t.groups[authenticationv1.SchemeGroupVersion], t.params, "", "tokenreviews",
		func() *authenticationv1.TokenReview { return new(authenticationv1.TokenReview) }, nil,
	}
}

func (t *typed) accessReviews() resource[*authorizationv1.SubjectAccessReview, *metav1.Status] {
	return resource[*authorizationv1.SubjectAccessReview, *metav1.Status]{
		t.groups[authorizationv1.SchemeGroupVersion], t.params, "", "subjectaccessreviews",
		func() *authorizationv1.SubjectAccessReview { return new(authorizationv1.SubjectAccessReview) }, nil,
	}
}

// selfReviews are about the account of the client itself.
func (t *typed) selfReviews() resource[*authorizationv1.SelfSubjectAccessReview, *metav1.Status] {
	return resource[*authorizationv1.SelfSubjectAccessReview, *metav1.Status]{
		t.groups[authorizationv1.SchemeGroupVersion], t.params, "", "selfsubjectaccessreviews",
		func() *authorizationv1.SelfSubjectAccessReview { return new(authorizationv1.SelfSubjectAccessReview) }, nil,
	}
}

// List implements reader.
func (r resource[T, L]) List(ctx context.Context, o metav1.ListOptions) (L, error) {
	list := r.list()
	return list, r.to(r.client.Get()).VersionedParams(&o, r.params).Do(ctx).Into(list)
}

// Watch implements reader.
func (r resource[T, L]) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.Watch = true
	return r.to(r.client.Get()).VersionedParams(&o, r.params).Watch(ctx)
}

// Get reads one object.
func (r resource[T, L]) Get(ctx context.Context, name string) (T, error) {
	return r.result(ctx, r.to(r.client.Get()).Name(name))
}

// Create writes a new object.
func (r resource[T, L]) Create(ctx context.Context, object T) (T, error) {
	return r.result(ctx, r.to(r.client.Post()).Body(object))
}

// Update replaces an object.
func (r resource[T, L]) Update(ctx context.Context, name string, object T) (T, error) {
	return r.result(ctx, r.to(r.client.Put()).Name(name).Body(object))
}

// Delete deletes an object.
func (r resource[T, L]) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	return r.to(r.client.Delete()).Name(name).Body(&o).Do(ctx).Error()
}

func (r resource[T, L]) to(q *rest.Request) *rest.Request {
	return q.NamespaceIfScoped(r.namespace, r.namespace != "").Resource(r.name)
}

func (r resource[T, L]) result(ctx context.Context, q *rest.Request) (T, error) {
	object := r.object()
	return object, q.Do(ctx).Into(object)
}
