// SPDX-License-Identifier: Apache-2.0

//go:build full

package monitoring

import (
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// The rules of nodes that share services, and of one that has pods alone.
const (
	podRules     = "rules:\n  - {prefix: \"2001:db8:1:0:f::/104\", method: pods}\nmetrics: {listen: \":9972\", authentication: kubernetes}\n"
	serviceRules = "rules:\n  - {prefix: \"2001:db8:1:0:f::/104\", method: pods}\n  - {prefix: \"2001:db8:1:0:e::/112\", method: services}\nmetrics: {listen: \":9972\", authentication: kubernetes}\n"
)

// TestThreeNodes has two nodes share services, and a third one with pods alone. Nobody
// asks them but each other.
func TestThreeNodes(t *testing.T) {
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 3)
	c.ApplyFile("deploy/kubernetes/rbac.yaml")
	c.Scraper()
	const services = 16
	var targets []netip.Addr
	for i := range services {
		targets = append(targets, c.CreateService(fmt.Sprintf("s%d", i)))
	}
	run := func(i int, rules string) *harness.Daemon {
		node := n.Nodes[i]
		file := node.ConfigFor(c.AgentToken(node.Name), "  settle: 1s\n", rules)
		harness.ReplaceIn(t, file, "namespace: default", "namespace: ndproxyd")
		return harness.Run(t, node.Namespace, "--config", file)
	}
	d := []*harness.Daemon{run(0, serviceRules), run(1, serviceRules), run(2, podRules)}
	// shared waits until the first node has some of the addresses, or all.
	shared := func(all bool) {
		d[0].Wait(fmt.Sprintf("owned addresses, all: %t", all), func(s status.Status) bool {
			return s.Cluster.OwnedAddresses == s.Cluster.ServiceAddresses == all && s.Cluster.ServiceAddresses >= services && s.Cluster.OwnedAddresses > 0
		})
	}
	shared(false)
	p := start(t, c.AccountToken("prometheus"), n.Nodes[0], n.Nodes[1:]...)
	p.wait(`sum(up{job="ndproxyd"})`, 3)

	// The nodes ask each other whether they are alive, which is no solicitation that a
	// switch would keep back.
	for _, node := range n.Nodes[:2] {
		p.wants("presence of "+node.Name, `increase(ndproxyd_solicitations_received_total{kind="presence", instance="`+instance(node)+`"}[15s]) > 0`, true)
		p.firingAt(node, "NdproxydNoSolicitations", true)
	}
	a := n.Asker()
	for _, target := range targets {
		a.WantAnswer(target)
	}
	for _, node := range n.Nodes[:2] {
		p.firingAt(node, "NdproxydNoSolicitations", false)
	}
	p.quiet("while all is well", "NdproxydNoSolicitations", "NdproxydKubernetesStale")

	// The API server goes away: owners are frozen where there are any.
	c.StopServer(os.Kill)
	p.firingAt(n.Nodes[0], "NdproxydOwnershipFrozen", true)
	p.firingAt(n.Nodes[1], "NdproxydOwnershipFrozen", true)
	p.firingAt(n.Nodes[2], "NdproxydOwnershipFrozen", false) // which has pods alone
	c.StartServer()
	p.firing("NdproxydOwnershipFrozen", false)

	// One node comes and goes.
	p.firing("NdproxydOwnersUnstable", false)
	for range 5 {
		harness.Must(t, d[1].Process.Kill())
		d[1].Exit()
		shared(true)
		d[1] = run(1, serviceRules)
		shared(false)
	}
	p.firingAt(n.Nodes[0], "NdproxydOwnersUnstable", true)
	p.firingAt(n.Nodes[2], "NdproxydOwnersUnstable", false)
	p.firing("NdproxydMisconfigured", false)
	p.firing("NdproxydDown", false)
}
