// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestReload changes the section for Kubernetes under load: what is answered
// before and after is answered all the time.
func TestReload(t *testing.T) {
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 2)
	a, node := n.Asker(), n.Nodes[0]
	pod := addr("2001:db8:1:0:f::5")
	c.CreatePod("p", node.Name, pod)
	targets := append(services(c, "s", 12), pod)
	config := node.ConfigFor(cluster.AdminToken, settle, both)
	d := harness.Run(t, node.Namespace, "--config", config)
	other := run(t, n.Nodes[1], settle, serviceRules)
	settled(t, n, a, []*harness.Daemon{d, other}, targets[:len(targets)-1])
	a.WantAnswer(pod)
	onDisk(t, node, "pods", quoted([]netip.Addr{pod})...)
	onDisk(t, node, "services", quoted(targets[:len(targets)-1])...)
	onDisk(t, node, "leases", hasSettled, hasSettled)
	before := owners(t, n, a, targets)
	kept := targets[len(targets)-2] // of one service only, by its label
	reload := func(old, words string) {
		t.Helper()
		harness.ReplaceIn(t, config, old, words)
		d.Reload()
		unanswered := 0
		for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
			for _, target := range targets {
				if !a.Answered(target) {
					unanswered++
				}
			}
		}
		if unanswered > 0 {
			t.Errorf("%q: %d solicitations unanswered", words, unanswered)
		}
	}
	for _, change := range []struct{ old, words string }{
		{settle, settle + "  services: {kinds: [cluster-ip]}\n"},
		{"method: pods}", "method: node}"},
		{"method: node}", "method: pods}"},
		{"  services: {kinds: [cluster-ip]}\n", "  service_proxy_health: \"\"\n"},
		{settle, "  settle: 3s\n"},
	} {
		reload(change.old, change.words)
	}
	if now := owners(t, n, a, targets); !slices.Equal(now, before) {
		t.Errorf("owners went from %v to %v", before, now)
	}

	// Another share moves addresses, and loses no answer.
	reload("  settle: 3s\n", "  settle: 3s\n  weight: 8\n")
	d.Wait("more addresses", func(s status.Status) bool { return s.Cluster.OwnedAddresses > s.Cluster.ServiceAddresses/2 })
	reload("  weight: 8\n", "  weight: 1\n")
	if now := owners(t, n, a, targets); !slices.Equal(now, before) {
		t.Errorf("with the weight of before the owners went from %v to %v", before, now)
	}

	// What is no longer selected is no longer answered for, and a wrong section
	// changes nothing.
	harness.ReplaceIn(t, config, "  service_proxy_health: \"\"\n", "  services: {kinds: [external-ip]}\n")
	d.Reload()
	d.Wait("no addresses", func(s status.Status) bool { return s.Cluster.ServiceAddresses == 0 })
	if d.Explain(kept).Answers[0].Answered {
		t.Error("an address that is not selected is answered for")
	}
	a.WantAnswer(pod)
	harness.ReplaceIn(t, config, "  kubeconfig: /", "  kubeconfig: /not/there/")
	d.Reload()
	a.WantAnswer(pod)
	if s := d.Status(); s.Reload.Successful {
		t.Error("a kubeconfig that is missing was taken")
	}
}
