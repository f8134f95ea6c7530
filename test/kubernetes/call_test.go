// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// admitCalls wants an agent of n1 to call others in by its own name alone, and to delete
// what is its own.
func admitCalls(t *testing.T, c *cluster.Cluster, leases client.LeaseInterface) {
	t.Helper()
	call := func(node, by string) *coordinationv1.Lease {
		l := lease("ndproxyd.call." + node)
		l.Spec.HolderIdentity = &by
		return l
	}
	create := func(l *coordinationv1.Lease) error {
		_, err := leases.Create(context.Background(), l, metav1.CreateOptions{})
		return err
	}
	remove := func(name string) error {
		return leases.Delete(context.Background(), name, metav1.DeleteOptions{})
	}
	harness.Must(t, create(call("n2", "n1")))
	harness.Must(t, remove("ndproxyd.call.n2"))
	if create(call("n2", "n3")) == nil {
		t.Error("an agent could call a node in by another's name")
	}
	for _, l := range []*coordinationv1.Lease{call("n2", "n3"), call("n1", "n3")} {
		_, err := c.Client.CoordinationV1().Leases("ndproxyd").Create(context.Background(), l, metav1.CreateOptions{})
		harness.Must(t, err)
	}
	if remove("ndproxyd.call.n2") == nil {
		t.Error("an agent could delete another's call of another node")
	}
	harness.Must(t, remove("ndproxyd.call.n1"))
}
