// SPDX-License-Identifier: Apache-2.0

//go:build full

package kubernetes

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestRemovalOfAccount stops the daemon of a pod whose account is gone. The API server
// believes a token that it has seen for ten seconds more.
func TestRemovalOfAccount(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	a := n.Asker()
	accounts := c.Client.CoreV1().ServiceAccounts("agents")
	removalStep{name: "the account is deleted", removed: true, says: "account is not known", stop: func(token string) {
		harness.Must(t, accounts.Delete(context.Background(), "agent", metav1.DeleteOptions{}))
		config := rest.CopyConfig(c.Config)
		config.BearerToken = token
		client, err := kubernetes.NewForConfig(config)
		harness.Must(t, err)
		harness.Eventually(t, "refusal of the token", func() bool {
			_, err := client.AppsV1().DaemonSets("agents").Get(context.Background(), "agent", metav1.GetOptions{})
			return apierrors.IsUnauthorized(err)
		})
	}}.run(t, c, n, a, harness.BPFFS(t))
}
