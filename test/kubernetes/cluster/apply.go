// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	authv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// plurals are the resources of kinds that do not just end in s.
var plurals = map[string]string{
	"ValidatingAdmissionPolicy": "validatingadmissionpolicies",
	"BlockAffinity":             "blockaffinities",
}

// ApplyFile creates the objects of a manifest of the repository.
func (c *Cluster) ApplyFile(path string) {
	c.tb.Helper()
	_, here, _, _ := runtime.Caller(0)
	b, err := os.ReadFile(filepath.Join(filepath.Dir(here), "..", "..", "..", path))
	harness.Must(c.tb, err)
	c.Apply(string(b))
}

// Apply creates or replaces the objects of a manifest.
func (c *Cluster) Apply(manifest string) {
	c.tb.Helper()
	d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		var u unstructured.Unstructured
		err := d.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return
		}
		harness.Must(c.tb, err)
		if u.Object == nil {
			continue
		}
		harness.Eventually(c.tb, u.GetKind()+" "+u.GetName(), func() bool { // its API may have just been made
			_, err = c.Dynamic.Resource(resource(&u)).Namespace(u.GetNamespace()).Apply(context.Background(), u.GetName(), &u, metav1.ApplyOptions{FieldManager: "test", Force: true})
			if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
				c.tb.Fatalf("apply %s %s: %v", u.GetKind(), u.GetName(), err)
			}
			return err == nil
		})
	}
}

// Delete deletes an object that Apply has made.
func (c *Cluster) Delete(gvr schema.GroupVersionResource, name string) {
	c.tb.Helper()
	harness.Must(c.tb, c.Dynamic.Resource(gvr).Delete(context.Background(), name, metav1.DeleteOptions{}))
}

func resource(u *unstructured.Unstructured) schema.GroupVersionResource {
	gvk := u.GroupVersionKind()
	name := plurals[gvk.Kind]
	if name == "" {
		name = strings.ToLower(gvk.Kind) + "s"
	}
	return gvk.GroupVersion().WithResource(name)
}

// AwaitAccess waits until the API server permits an account of a namespace something there, or
// no longer: it goes by a change of a role a moment after it has taken it.
func (c *Cluster) AwaitAccess(namespace, account, group, resource, verb string, permitted bool) {
	c.tb.Helper()
	user := "system:serviceaccount:" + namespace + ":" + account
	harness.Eventually(c.tb, fmt.Sprintf("change of whether %s may %s %s: %t", user, verb, resource, permitted), func() bool {
		r, err := c.Client.AuthorizationV1().SubjectAccessReviews().Create(context.Background(), &authzv1.SubjectAccessReview{Spec: authzv1.SubjectAccessReviewSpec{
			User:               user,
			Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
			ResourceAttributes: &authzv1.ResourceAttributes{Namespace: namespace, Name: account, Group: group, Resource: resource, Verb: verb},
		}}, metav1.CreateOptions{})
		return err == nil && r.Status.Allowed == permitted
	})
}

// AgentToken returns a token of the agent's account that is bound to a node, as
// that of its pod is.
func (c *Cluster) AgentToken(node string) string {
	c.tb.Helper()
	ctx := context.Background()
	n, err := c.Client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	harness.Must(c.tb, err)
	seconds := int64(3600)
	t, err := c.Client.CoreV1().ServiceAccounts("ndproxyd").CreateToken(ctx, "ndproxyd", &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authv1.BoundObjectReference{Kind: "Node", APIVersion: "v1", Name: node, UID: n.UID},
	}}, metav1.CreateOptions{})
	harness.Must(c.tb, err)
	return t.Status.Token
}
