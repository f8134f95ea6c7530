// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// ownSet is a DaemonSet and the account of its pods, which may read it as the chart permits
// where pods answer in the kernel.
const ownSet = `
apiVersion: v1
kind: Namespace
metadata: {name: agents}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: agent, namespace: agents}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: agent, namespace: agents}
rules:
  - {apiGroups: [apps], resources: [daemonsets], resourceNames: [agent], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: agent, namespace: agents}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agent}
subjects: [{kind: ServiceAccount, name: agent, namespace: agents}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: agents}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: agent}]}
`

// TestRemoval stops the daemon of a pod in all ways in which a pod goes. What is pinned goes
// at once where no other pod follows, and answers on where one may.
func TestRemoval(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	a := n.Asker()
	directory := harness.BPFFS(t)
	ctx := context.Background()
	sets := c.Client.AppsV1().DaemonSets("agents")
	noRole := func() {
		harness.Must(t, c.Client.RbacV1().RoleBindings("agents").Delete(ctx, "agent", metav1.DeleteOptions{}))
		access(c, false)
	}
	for _, step := range []removalStep{
		{name: "a rollout", stop: func(string) {}},
		{name: "the DaemonSet is deleted", stop: func(string) { harness.Must(t, sets.Delete(ctx, "agent", metav1.DeleteOptions{})) }, removed: true, says: "the DaemonSet is deleted"},
		{name: "the DaemonSet is deleted after its pods", stop: func(string) {
			foreground := metav1.DeletePropagationForeground
			harness.Must(t, sets.Delete(ctx, "agent", metav1.DeleteOptions{PropagationPolicy: &foreground}))
		}, removed: true, says: "the DaemonSet is deleted"},
		{name: "the role is taken away", stop: func(string) { noRole() }, removed: true, says: "may not be read any more"},
		{name: "there never was a permission", before: noRole, stop: func(string) {
			harness.Must(t, sets.Delete(ctx, "agent", metav1.DeleteOptions{}))
		}},
		{name: "the server is away", stop: func(string) { c.StopServer(syscall.SIGKILL) }, says: "could not be asked"},
	} {
		step.run(t, c, n, a, directory)
	}
}

// removalStep is one way in which a pod goes.
type removalStep struct {
	name    string
	before  func()             // the start
	stop    func(token string) // as the pod is about to; token is its
	removed bool
	says    string
}

func (s removalStep) run(t *testing.T, c *cluster.Cluster, n *cluster.Network, a *harness.Asker, directory string) {
	t.Helper()
	removeFinalizers(c)
	c.Apply(ownSet)
	access(c, true)
	if s.before != nil {
		s.before()
	}
	d, token := startPod(t, c, n.Nodes[0], directory)
	a.WantAnswer(conformance.Pod)
	s.stop(token)
	d.Signal(syscall.SIGTERM)
	d.Exit()
	pins, err := filepath.Glob(filepath.Join(directory, "*", "*"))
	harness.Must(t, err)
	switch answered := a.Ask(conformance.Pod, harness.Quiet) != nil; {
	case s.removed && (answered || len(pins) > 0):
		t.Errorf("%s: it is answered: %t, and left is %v", s.name, answered, pins)
	case !s.removed && len(pins) == 0:
		t.Errorf("%s: nothing is pinned", s.name)
	case !s.removed:
		a.WantAnswer(conformance.Pod)
	}
	if !strings.Contains(d.Log(), s.says) {
		t.Errorf("%s: the log does not say %q:\n%s", s.name, s.says, d.Log())
	}
}

// access waits until the API server goes by a change of what the pod may read.
func access(c *cluster.Cluster, permitted bool) {
	c.AwaitAccess("agents", "agent", "apps", "daemonsets", "get", permitted)
}

// removeFinalizers lets a DaemonSet go that waits for its pods, if there is one.
func removeFinalizers(c *cluster.Cluster) {
	_, _ = c.Client.AppsV1().DaemonSets("agents").Patch(context.Background(), "agent", "application/merge-patch+json",
		[]byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
}

// startPod starts a daemon that takes itself for a pod of the DaemonSet, and waits until the
// API server has told it whether it may read that.
func startPod(t *testing.T, c *cluster.Cluster, node *cluster.Node, directory string) (d *harness.Daemon, bearer string) {
	t.Helper()
	var token *authv1.TokenRequest
	harness.Eventually(t, "a token", func() (made bool) { // the account may be about to go
		var err error
		token, err = c.Client.CoreV1().ServiceAccounts("agents").CreateToken(context.Background(), "agent", new(authv1.TokenRequest), metav1.CreateOptions{})
		return err == nil
	})
	config := harness.WriteConfig(t, fmt.Sprintf(`version: 1
fast_path_directory: %s
uplinks: [{interface: uplink, fast_path: tc}]
kubernetes: {kubeconfig: %s, node: %s}
rules: [{prefix: "2001:db8:1:0:f::/80", method: static}]
`, directory, c.Kubeconfig(token.Status.Token), node.Name))
	d = harness.StartProgram(t, node.Namespace, "/usr/bin/env", "POD_NAMESPACE=agents", "POD_NAME=agent-x2x4q", harness.Binary(t), "run", "--config", config)
	d.Wait("a program in the kernel", func(s status.Status) bool {
		return s.Ready && len(s.Uplinks) == 1 && s.Uplinks[0].FastPath.InKernel() && s.Uplinks[0].FastPath.Pinned != ""
	})
	harness.Eventually(t, "word of the DaemonSet", func() bool { return strings.Contains(d.Log(), "the DaemonSet agents/agent") })
	return d, token.Status.Token
}
