// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// scraper is an account like that of a Prometheus.
const scraper = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: prometheus, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: prometheus}
rules: [{nonResourceURLs: [/metrics], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: prometheus}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: prometheus}
subjects: [{kind: ServiceAccount, name: prometheus, namespace: default}]
`

// Scraper makes an account, prometheus, that may read metrics. AccountToken has its
// tokens.
func (c *Cluster) Scraper() {
	c.tb.Helper()
	c.Apply(scraper)
}

// AccountToken returns a new token of an account in the namespace default.
func (c *Cluster) AccountToken(account string) string {
	c.tb.Helper()
	r, err := c.Client.CoreV1().ServiceAccounts("default").CreateToken(context.Background(), account, &authv1.TokenRequest{}, metav1.CreateOptions{})
	harness.Must(c.tb, err)
	return r.Status.Token
}
