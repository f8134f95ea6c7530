// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Presence is what the API server tells of an object.
type Presence int

// The presences.
const (
	// Present is an object that is there and is to stay.
	Present Presence = iota
	// Deleted is an object that is not there, or is about to be deleted.
	Deleted
	// Refused is an object that the account may not read, which the server knows for
	// certain.
	Refused
	// Unknown is an account that the server does not know: it was deleted, or the pod was
	// that the token is bound to.
	Unknown
)

// askAgain is the time after which a server that does not know the account is asked a second
// time.
const askAgain = 250 * time.Millisecond

// DaemonSet asks whether a DaemonSet is there. It takes the permission to get it. The error is
// one of the way to the server, or of a server that cannot tell yet: one that starts refuses
// everything until it has read roles and bindings.
func (c *Client) DaemonSet(ctx context.Context, namespace, name string) (Presence, error) {
	p, err := c.daemonSet(ctx, namespace, name)
	if err != nil || p != Unknown {
		return p, err
	}
	select {
	case <-ctx.Done():
		return p, ctx.Err()
	case <-time.After(askAgain):
	}
	return c.daemonSet(ctx, namespace, name)
}

func (c *Client) daemonSet(ctx context.Context, namespace, name string) (Presence, error) {
	client := c.typed.groups[corev1.SchemeGroupVersion] // the client of each group knows the way
	b, err := client.Get().AbsPath("/apis/apps/v1/namespaces", namespace, "daemonsets", name).
		SetHeader("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json").
		MaxRetries(0).Do(ctx).Raw()
	var found metav1.PartialObjectMetadata
	switch {
	case apierrors.IsNotFound(err):
		return Deleted, nil
	case apierrors.IsUnauthorized(err):
		return Unknown, nil
	case apierrors.IsForbidden(err):
		return Refused, c.refuses(ctx, namespace, name)
	case err != nil:
		return Present, fmt.Errorf("ask for the DaemonSet %s/%s: %w", namespace, name, err)
	}
	if err := json.Unmarshal(b, &found); err != nil {
		return Present, fmt.Errorf("read the DaemonSet %s/%s: %w", namespace, name, err)
	}
	if found.DeletionTimestamp != nil {
		return Deleted, nil
	}
	return Present, nil
}

// refuses returns nil where the server says in so many words that the account may not get a
// DaemonSet. A server that has not read the roles refuses to say so as well.
func (c *Client) refuses(ctx context.Context, namespace, name string) error {
	asked := authorizationv1.ResourceAttributes{Verb: "get", Group: "apps", Resource: "daemonsets", Namespace: namespace, Name: name}
	answer, err := c.typed.selfReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &asked},
	})
	switch {
	case err != nil:
		return fmt.Errorf("ask what the account may do: %w", err)
	case answer.Status.Allowed || answer.Status.EvaluationError != "":
		return fmt.Errorf("the server has refused to tell of the DaemonSet %s/%s, and would not now", namespace, name)
	}
	return nil
}
