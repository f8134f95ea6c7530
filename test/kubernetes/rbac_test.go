// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

const everyRule = "rules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: pods}\n  - {prefix: \"2001:db8:1:0:b::/80\", method: node}\n" +
	"  - {prefix: \"2001:db8:1:0:e::/112\", method: services}\n"

// permission is one verb for one kind of object.
type permission struct{ group, resource, verb string }

// permissions returns all that the manifests grant.
func permissions(t *testing.T, c *cluster.Cluster) []permission {
	t.Helper()
	var all []permission
	add := func(rs []rbacv1.PolicyRule) {
		for _, r := range rs {
			for _, g := range r.APIGroups {
				for _, res := range r.Resources {
					for _, v := range r.Verbs {
						all = append(all, permission{g, res, v})
					}
				}
			}
		}
	}
	cr, err := c.Client.RbacV1().ClusterRoles().Get(context.Background(), "ndproxyd", metav1.GetOptions{})
	harness.Must(t, err)
	add(cr.Rules)
	r, err := c.Client.RbacV1().Roles("ndproxyd").Get(context.Background(), "ndproxyd", metav1.GetOptions{})
	harness.Must(t, err)
	add(r.Rules)
	return all
}

// without takes a permission out of rules.
func without(rs []rbacv1.PolicyRule, p permission) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for _, r := range rs {
		for _, g := range r.APIGroups {
			for _, res := range r.Resources {
				verbs := slices.Clone(r.Verbs)
				if g == p.group && res == p.resource {
					verbs = slices.DeleteFunc(verbs, func(v string) bool { return v == p.verb })
				}
				if len(verbs) > 0 {
					out = append(out, rbacv1.PolicyRule{APIGroups: []string{g}, Resources: []string{res}, Verbs: verbs})
				}
			}
		}
	}
	return out
}

// revoke takes a permission away, and returns what gives it back.
func revoke(t *testing.T, c *cluster.Cluster, p permission) (restore func()) {
	t.Helper()
	ctx := context.Background()
	cr, err := c.Client.RbacV1().ClusterRoles().Get(ctx, "ndproxyd", metav1.GetOptions{})
	harness.Must(t, err)
	r, err := c.Client.RbacV1().Roles("ndproxyd").Get(ctx, "ndproxyd", metav1.GetOptions{})
	harness.Must(t, err)
	put := func(cluster, role []rbacv1.PolicyRule) {
		t.Helper()
		cr.ResourceVersion, r.ResourceVersion = "", ""
		cr.Rules, r.Rules = cluster, role
		_, err := c.Client.RbacV1().ClusterRoles().Update(ctx, cr, metav1.UpdateOptions{})
		harness.Must(t, err)
		_, err = c.Client.RbacV1().Roles("ndproxyd").Update(ctx, r, metav1.UpdateOptions{})
		harness.Must(t, err)
	}
	all, own := cr.Rules, r.Rules
	put(without(all, p), without(own, p))
	c.AwaitAccess("ndproxyd", "ndproxyd", p.group, p.resource, p.verb, false)
	return func() {
		put(all, own)
		c.AwaitAccess("ndproxyd", "ndproxyd", p.group, p.resource, p.verb, true)
	}
}

// TestLeastPrivilege runs under the account of the manifests, where everything
// works, and without each single permission, where something does not. The
// server does not stream lists, as those before 1.34 do not by default, since
// else no list is asked for.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, "--feature-gates=WatchList=false")
	n := cluster.NewNetwork(t, c, 1)
	node := n.Nodes[0]
	c.ApplyFile("deploy/kubernetes/rbac.yaml")
	c.ApplyFile("deploy/kubernetes/admission.yaml")
	c.Scraper()
	c.Apply(blockAffinities)
	c.Apply(strings.ReplaceAll(strings.ReplaceAll(blockAffinities, "crd.projectcalico.org", "projectcalico.org"), "name: v1\n", "name: v3\n"))
	c.Apply(ciliumNodes)
	local := corev1.ServiceInternalTrafficPolicyLocal
	c.CreateService("local", func(s *corev1.Service) { s.Spec.InternalTrafficPolicy = &local })
	target := c.CreateService("any")
	a := n.Asker()
	all := permissions(t, c)
	if len(all) != 25 {
		t.Fatalf("%d permissions are granted, with cases for 25: %v", len(all), all)
	}
	start := func(rules string) *harness.Daemon {
		config := node.ConfigFor(c.AgentToken(node.Name), settle, rules)
		harness.ReplaceIn(t, config, "namespace: default", "namespace: ndproxyd")
		harness.ReplaceIn(t, config, node.Dir+"/state.json", `""`)
		return harness.Run(t, node.Namespace, "--config", config)
	}
	end := func(d *harness.Daemon) {
		_ = d.Process.Kill() // if it still runs
		d.Exit()
	}
	forbidden := func(s status.Status) bool {
		return slices.ContainsFunc(s.Cluster.Sources, func(src status.Source) bool { return src.Forbidden })
	}

	d := start(everyRule)
	a.WantAnswer(target)
	d.Wait("everything synced", func(s status.Status) bool {
		return len(s.Cluster.Sources) >= 9 && !slices.ContainsFunc(s.Cluster.Sources, func(src status.Source) bool { return src.Fault != "" || !src.Synced && src.Source != "own lease" })
	})
	end(d)
	for _, p := range all {
		t.Run(fmt.Sprint(p), func(t *testing.T) {
			rules := everyRule
			switch p.resource {
			case "servicecidrs":
				rules = "" // they are read for discovery
			case "tokenreviews", "subjectaccessreviews":
				rules += reviewed
			}
			if p == (permission{"coordination.k8s.io", "leases", "create"}) || p.verb == "delete" {
				_ = c.Client.CoordinationV1().Leases("ndproxyd").Delete(context.Background(), "ndproxyd-"+node.Name, metav1.DeleteOptions{})
			}
			defer revoke(t, c, p)()
			d := start(rules)
			defer end(d)
			switch {
			case p.resource == "tokenreviews", p.resource == "subjectaccessreviews":
				awaitPage(t, node)
				if code, body := scrape(node, c.AccountToken("prometheus"), "https://["+node.Addr.String()+"]:9972/metrics"); code != 503 || !strings.Contains(d.Log(), "is forbidden") {
					t.Errorf("/metrics is %d %s", code, body)
				}
			case p.resource == "events":
				d.Wait("a lease", func(s status.Status) bool { return s.Cluster.Announcers > 0 })
				conflict(t, n, a, d, target)
				harness.Eventually(t, "a word of the Event", func() bool { return strings.Contains(d.Log(), "writing an Event failed") })
			case p.verb == "delete":
				d.Wait("a lease", func(s status.Status) bool { return s.Cluster.Announcers > 0 && !s.Cluster.Frozen })
				d.Signal(syscall.SIGTERM)
				d.Exit()
				if !strings.Contains(d.Log(), "giving the lease back failed") {
					t.Error("the log does not tell")
				}
			default:
				d.Wait("a word of what is missing", forbidden)
			}
		})
	}
}

// conflict makes a station of the link claim an address.
func conflict(t *testing.T, n *cluster.Network, a *harness.Asker, d *harness.Daemon, target interface{ String() string }) {
	t.Helper()
	harness.Must(t, n.Router.Address(harness.RouterPort, target.String()+"/128"))
	a.Port.Send(claim(addr(target.String())))
	d.Wait("conflict", func(s status.Status) bool { return len(s.Uplinks[0].Conflicts) > 0 })
}

// TestLeaseAdmission tries to write another node's lease.
func TestLeaseAdmission(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	c.CreateNode("n1", addr("2001:db8:1::1"))
	c.CreateNode("n2", addr("2001:db8:1::2"))
	c.ApplyFile("deploy/kubernetes/rbac.yaml")
	applyPolicy(t, c, "2001:db8:1:0:e::/112")
	config := rest.CopyConfig(c.Config)
	config.BearerToken = c.AgentToken("n1")
	client, err := kubernetes.NewForConfig(config)
	harness.Must(t, err)
	leases := client.CoordinationV1().Leases("ndproxyd")
	harness.Eventually(t, "policy in force", func() bool {
		_, err := leases.Create(context.Background(), lease("ndproxyd-n2"), metav1.CreateOptions{})
		if err == nil {
			harness.Must(t, c.Client.CoordinationV1().Leases("ndproxyd").Delete(context.Background(), "ndproxyd-n2", metav1.DeleteOptions{}))
		}
		return apierrors.IsInvalid(err) || apierrors.IsForbidden(err)
	})
	own, err := leases.Create(context.Background(), lease("ndproxyd-n1"), metav1.CreateOptions{})
	harness.Must(t, err)
	_, err = leases.Update(context.Background(), own, metav1.UpdateOptions{})
	harness.Must(t, err)
	other, err := c.Client.CoordinationV1().Leases("ndproxyd").Create(context.Background(), lease("ndproxyd-n2"), metav1.CreateOptions{})
	harness.Must(t, err)
	if _, err := leases.Update(context.Background(), other, metav1.UpdateOptions{}); err == nil {
		t.Error("an agent could write another node's lease")
	}
	if err := leases.Delete(context.Background(), "ndproxyd-n2", metav1.DeleteOptions{}); err == nil {
		t.Error("an agent could delete another node's lease")
	}
	harness.Must(t, leases.Delete(context.Background(), "ndproxyd-n1", metav1.DeleteOptions{}))
	admitCalls(t, c, leases)
	admitRecords(t, leases)
}

// TestKubelet runs with the rights of the node's own kubelet, which may read less. What
// it may not read is said at once, and counts after a minute; the next process goes by
// that from its first moment on.
func TestKubelet(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	a, node := n.Asker(), n.Nodes[0]
	pod, service := addr("2001:db8:1:0:f::5"), c.CreateService("s")
	c.CreatePod("p", node.Name, pod)
	d := harness.Run(t, node.Namespace, "--config", node.ConfigFor(cluster.KubeletToken, "", both))
	a.WantAnswer(pod)
	d.Wait("a word of what is forbidden", func(s status.Status) bool {
		return len(s.Waiting) > 0 && slices.ContainsFunc(s.Cluster.Sources, func(src status.Source) bool { return src.Source == "leases" && src.Forbidden && !src.NoPermission })
	})
	alone := func(s status.Status) bool {
		return s.Cluster.Alone && slices.ContainsFunc(s.Cluster.Sources, func(src status.Source) bool { return src.Source == "leases" && src.NoPermission })
	}
	harness.Within(t, 3*k8swatch.ForbiddenFor, "word of what is missing", func() bool { return alone(d.Status()) })
	a.WantAnswer(service)
	onDisk(t, node, "missing permissions", "leases")
	onDisk(t, node, "pods", quoted([]netip.Addr{pod})...)
	onDisk(t, node, "services", quoted([]netip.Addr{service})...)
	harness.Must(t, d.Process.Kill())
	d.Exit()
	d = harness.Run(t, node.Namespace, "--config", node.ConfigFor(cluster.KubeletToken, "", both))
	d.Wait("a word of what is missing", alone)
	a.WantAnswer(pod)
	a.WantAnswer(service)
}
