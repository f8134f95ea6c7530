// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

func env(vars map[string]string) config.Host {
	return config.Host{Getenv: func(k string) string { return vars[k] }, Hostname: "Host.example"}
}

// complete parses a file and completes it by what the host tells.
func complete(t *testing.T, content string, site config.Host) (*config.Config, error) {
	t.Helper()
	c, err := config.Parse("c.yaml", []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return c, c.Complete(site)
}

// TestKubernetes reads the section, and what the host adds to it.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	inPod := map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "NODE_NAME": "n1", "POD_NAMESPACE": "here", "STATE_DIRECTORY": "/state"}
	full := config.Kubernetes{
		Kubeconfig: "/k", Server: "https://[fd00::2]:6443", Node: "n2", Namespace: "ns", Ownership: rules.OwnershipAnycast, Weight: 3,
		Settle: 5 * time.Second, PrefixSource: "cilium", Snapshot: "/s",
		Services: config.ServiceSelection{Kinds: []string{"cluster-ip"}, Selector: "a=b", Classes: []string{""}},
	}
	onHost := config.Kubernetes{
		Kubeconfig: "/k", Node: "host.example", Namespace: config.DefaultNamespace, Weight: 1, Settle: config.DefaultSettle,
		ProxyHealth: config.DefaultProxyHealth, Snapshot: config.DefaultSnapshot,
	}
	byPod := onHost
	byPod.Kubeconfig, byPod.Node, byPod.Namespace, byPod.Snapshot = "", "n1", "here", "/state/state.json"
	unsaved := byPod
	unsaved.Snapshot = ""
	tests := []struct {
		name    string
		content string
		vars    map[string]string
		want    *config.Kubernetes
	}{
		{"off on a host", "version: 1\n", nil, nil},
		{"on in a pod", "version: 1\n", inPod, &byPod},
		{"turned off in a pod", "version: 1\nkubernetes: {enabled: false}\n", inPod, nil},
		{"on a host", "version: 1\nkubernetes: {kubeconfig: /k}\n", nil, &onHost},
		{"no snapshot", "version: 1\nkubernetes: {snapshot: \"\"}\n", inPod, &unsaved},
		{"everything", "version: 1\nkubernetes:\n  kubeconfig: /k\n  server: https://[fd00::2]:6443\n  node: n2\n  namespace: ns\n  ownership: anycast\n  weight: 3\n  settle: 5s\n" +
			"  service_proxy_health: \"\"\n  prefix_source: cilium\n  snapshot: /s\n  services: {kinds: [cluster-ip], selector: a=b, load_balancer_classes: [\"\"]}\n", inPod, &full},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := complete(t, tt.content, env(tt.vars))
			if err != nil {
				t.Fatal(err)
			}
			if !c.Kubernetes.Equal(tt.want) {
				t.Errorf("got %+v, want %+v", c.Kubernetes, tt.want)
			}
		})
	}
}

// TestKubernetesMissing names the rules whose evidence nobody gives.
func TestKubernetesMissing(t *testing.T) {
	t.Parallel()
	_, err := complete(t, "version: 1\nrules:\n  - {prefix: 2001:db8::/64, method: route}\n  - {prefix: 2001:db8:1::/64, method: pods}\n", env(nil))
	if err == nil || !strings.Contains(err.Error(), "c.yaml:4:") || !strings.Contains(err.Error(), "kubernetes:") {
		t.Errorf("got %v", err)
	}
	c, err := config.FromFlags(nil, []string{"2001:db8::/64=services"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Complete(env(nil)); err == nil {
		t.Error("a flag for services was taken without Kubernetes")
	}
}

// TestKubernetesWarnings tells of settings that keep routers from a new owner.
func TestKubernetesWarnings(t *testing.T) {
	t.Parallel()
	c, err := complete(t, "version: 1\nuplinks: [{interface: eth0, gratuitous: none}]\nkubernetes: {kubeconfig: /k}\nrules: [{prefix: 2001:db8::/64, method: services, delay: 1s}]\n", env(nil))
	if err != nil || len(c.Warnings) != 2 {
		t.Errorf("got %q, %v", c.Warnings, err)
	}
}

// TestKubernetesErrors places what is wrong.
func TestKubernetesErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"ownership: hsh":                 `c.yaml:3:14: kubernetes.ownership: "hsh" is not one of hash, anycast, all (did you mean "hash"?)`,
		"weight: 0":                      `c.yaml:3:11: kubernetes.weight: "0" is not a number from 1 to 16`,
		"settle: 2h":                     `c.yaml:3:11: kubernetes.settle: 2h0m0s is outside 0s to 1h0m0s`,
		"server: \"x y\"":                `c.yaml:3:11: kubernetes.server: "x y" is not the URL of an API server (example: https://[2001:db8::1]:6443)`,
		"service_proxy_health: x":        `c.yaml:3:25: kubernetes.service_proxy_health: "x" is not a URL (example: http://localhost:10256/healthz; "" for none)`,
		"prefix_source: calicoo":         `c.yaml:3:18: kubernetes.prefix_source: "calicoo" is not one of calico, cilium, ovn-kubernetes, kube-router, pod-cidrs (did you mean "calico"?)`,
		"services: {kinds: [clusterip]}": `c.yaml:3:22: kubernetes.services.kinds[0]: "clusterip" is not one of cluster-ip, load-balancer, external-ip (did you mean "cluster-ip"?)`,
		"services: {selector: \"a==(\"}": `c.yaml:3:24: kubernetes.services.selector: `,
		"kubeconfg: x":                   `c.yaml:3:3: kubernetes: unknown key "kubeconfg" (did you mean "kubeconfig"?)`,
	}
	for line, want := range tests {
		_, err := config.Parse("c.yaml", []byte("version: 1\nkubernetes:\n  "+line+"\n"))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got\n%v, want\n%s", line, err, want)
		}
	}
}
