// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// move takes a node to a bridge of the network, with another address on its uplink.
func move(t *testing.T, n *cluster.Network, node *cluster.Node, bridge string, from, to netip.Addr) {
	t.Helper()
	attach(t, n, node.Name, bridge)
	readdress(t, node, from, to)
}

// TestByItself has two nodes with a /64 each, which so need no lease, come to share a link.
// A third one starts there while another is by itself.
func TestByItself(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 3)
	a := n.Asker()
	targets := services(c, "s", 12)
	harness.Must(t, n.Switch.Link.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "other"}}))
	harness.Must(t, n.Switch.Up("other"))
	here, there := n.Nodes[1].Addr, addr("2001:db8:2::1:2")
	move(t, n, n.Nodes[1], "other", here, there)
	first, second := run(t, n.Nodes[0], settle, serviceRules), run(t, n.Nodes[1], settle, serviceRules)
	// The services are on the link of the first: routers on the other one ask nobody for them.
	byItself := func(s status.Status, all bool) bool {
		owns := s.Cluster.OwnedAddresses == 0
		if all {
			owns = s.Cluster.OwnedAddresses == s.Cluster.ServiceAddresses
		}
		return s.Cluster.ByItself && !s.Cluster.Frozen && owns && !follows(s, "own lease")
	}
	wait := func(d *harness.Daemon, all bool) {
		t.Helper()
		harness.Within(t, 2*time.Minute, "node by itself", func() bool { return byItself(d.Status(), all) })
	}
	wait(first, true)
	wait(second, false)
	harness.Eventually(t, "no leases", func() bool {
		l, err := c.Client.CoordinationV1().Leases("default").List(context.Background(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=ndproxyd"})
		return err == nil && len(l.Items) == 0
	})
	owners(t, n, a, targets)
	if e := first.Explain(targets[0]).Answers[0]; !e.Answered || e.Cluster == nil || !e.Cluster.ByItself || e.Cluster.Owner != "n1" {
		t.Errorf("explained as %+v, cluster %+v", e, e.Cluster)
	}

	// What a restart knows from its snapshot is that nobody is near.
	harness.Must(t, first.Process.Kill())
	first.Exit()
	begin := time.Now()
	first = run(t, n.Nodes[0], settle, serviceRules)
	a.WantAnswer(targets[0])
	t.Logf("after a restart it answers within %s", time.Since(begin))

	// A node that starts on the link does not answer for what the other one does.
	wait(first, true)
	third := run(t, n.Nodes[2], "  settle: 20s\n", serviceRules)
	third.Wait("both to announce", func(s status.Status) bool { return s.Cluster.Announcers == 2 })
	for _, owner := range owners(t, n, a, targets) {
		if owner != 0 {
			t.Errorf("node %d owns an address before it has settled", owner)
		}
	}
	if s := third.Status().Cluster; s.OwnerChanges != 0 {
		t.Errorf("the third node saw %d addresses move", s.OwnerChanges)
	}
	third.Signal(syscall.SIGTERM)
	third.Exit()

	// The second one moves to the link of the first.
	move(t, n, n.Nodes[1], "link", there, here)
	for _, d := range []*harness.Daemon{first, second} {
		d.Wait("both to announce", func(s status.Status) bool { return s.Cluster.Announcers == 2 && !s.Cluster.ByItself })
	}
	owners(t, n, a, targets)
	_, err := c.Client.CoordinationV1().Leases("default").Get(context.Background(), "ndproxyd-n1", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		t.Error("the first node has no lease")
	}
}
