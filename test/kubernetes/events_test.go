// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// events returns the Events with a reason.
func events(t *testing.T, c *cluster.Cluster, reason string) []corev1.Event {
	t.Helper()
	list, err := c.Client.CoreV1().Events("").List(context.Background(), metav1.ListOptions{})
	harness.Must(t, err)
	return slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return e.Reason != reason })
}

// wantEvent waits for an Event about an object of a kind.
func wantEvent(t *testing.T, c *cluster.Cluster, reason, kind string) corev1.Event {
	t.Helper()
	var found corev1.Event
	harness.Eventually(t, "Event "+reason, func() bool {
		all := events(t, c, reason)
		i := slices.IndexFunc(all, func(e corev1.Event) bool { return e.InvolvedObject.Kind == kind })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

// told waits for an Event of an object that says something.
func told(t *testing.T, c *cluster.Cluster, object, reason, part string) {
	t.Helper()
	harness.Eventually(t, "Event "+reason+" of "+object, func() bool {
		return slices.ContainsFunc(events(t, c, reason), func(e corev1.Event) bool {
			return e.InvolvedObject.Name == object && strings.Contains(e.Message, part)
		})
	})
}

// TestEvents finds what has happened with the object that it happened to.
func TestEvents(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 2)
	a := n.Asker()
	pod := addr("2001:db8:1:0:f::5")
	c.CreatePod("p", n.Nodes[0].Name, pod)
	targets := services(c, "s", 12)
	daemons := make([]*harness.Daemon, 2)
	for i, node := range n.Nodes {
		daemons[i] = run(t, node, settle, both)
	}
	a.WantAnswer(pod)
	conflict(t, n, a, daemons[0], pod)
	if e := wantEvent(t, c, "AddressConflict", "Pod"); e.InvolvedObject.Name != "p" || e.Type != corev1.EventTypeWarning || !strings.Contains(e.Message, "02:00:00:00:00:01") {
		t.Errorf("got %+v", e)
	}
	settled(t, n, a, daemons, targets)
	before := owners(t, n, a, targets)
	harness.Must(t, daemons[before[0]].Process.Kill())
	harness.Eventually(t, "another owner", func() bool { return a.Ask(targets[0], 20*time.Millisecond) != nil })
	other := n.Nodes[1-before[0]].Name
	harness.Eventually(t, "Event about the node", func() bool {
		e := wantEvent(t, c, "ServiceAddressesTakenOver", "Node")
		return e.InvolvedObject.Name == other || e.Source.Host != ""
	})
	list, err := c.Client.CoreV1().Events("").List(context.Background(), metav1.ListOptions{})
	harness.Must(t, err)
	if len(list.Items) > 20 {
		t.Errorf("%d Events were written", len(list.Items))
	}
}

// TestToken takes the account's token away, and gives another.
func TestToken(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	a, node := n.Asker(), n.Nodes[0]
	pod := addr("2001:db8:1:0:f::5")
	c.CreatePod("p", node.Name, pod)
	token := filepath.Join(t.TempDir(), "token")
	harness.Must(t, os.WriteFile(token, []byte(cluster.AdminToken), 0o600))
	config := node.ConfigFor(cluster.AdminToken, "", podRules)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	harness.Must(t, os.WriteFile(kubeconfig, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "%s", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {tokenFile: %s}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`, cluster.Server, token), 0o600))
	b, err := os.ReadFile(config)
	harness.Must(t, err)
	lines := strings.Split(string(b), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "  kubeconfig: ") {
			lines[i] = "  kubeconfig: " + kubeconfig
		}
	}
	harness.Rewrite(t, config, strings.Join(lines, "\n"))
	harness.Must(t, os.WriteFile(token, []byte("of long ago"), 0o600))
	d := harness.Run(t, node.Namespace, "--config", config)
	fault := func(s status.Status) string { return s.Cluster.Sources[0].Fault }
	d.Wait("a word of the token", func(s status.Status) bool {
		return s.Cluster != nil && len(s.Cluster.Sources) > 0 && strings.Contains(fault(s), "Unauthorized")
	})
	harness.Eventually(t, "word of it in the log", func() bool { return strings.Contains(d.Log(), "token may have expired") })
	harness.Must(t, os.WriteFile(token, []byte(cluster.AdminToken), 0o600))
	const reread = 2 * time.Minute // client-go reads the file once a minute
	harness.Within(t, reread, "use of the new token", func() bool { return a.Ask(pod, 100*time.Millisecond) != nil })
	d.Wait("no fault", func(s status.Status) bool { return fault(s) == "" })
}

// TestSlowServer stops the API server's process, which says nothing then and
// closes nothing.
func TestSlowServer(t *testing.T) {
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 2)
	a := n.Asker()
	targets := services(c, "s", 6)
	daemons := make([]*harness.Daemon, 2)
	for i, node := range n.Nodes {
		daemons[i] = run(t, node, settle, serviceRules)
	}
	settled(t, n, a, daemons, targets)
	before := owners(t, n, a, targets)
	c.SignalServer(syscall.SIGSTOP)
	for end := time.Now().Add(14 * time.Second); time.Now().Before(end); {
		for _, target := range targets {
			if !a.Answered(target) {
				t.Fatalf("%s is not answered for while the API server is slow", target)
			}
		}
	}
	for _, d := range daemons { // the leases are not believed, as nobody renews them
		d.Wait("frozen owners", func(s status.Status) bool { return s.Cluster.Frozen })
	}
	c.SignalServer(syscall.SIGCONT)
	for _, d := range daemons {
		d.Wait("renewed leases", func(s status.Status) bool { return !s.Cluster.Frozen })
	}
	time.Sleep(2 * time.Second)
	if now := owners(t, n, a, targets); !slices.Equal(now, before) {
		t.Errorf("owners went from %v to %v", before, now)
	}
}
