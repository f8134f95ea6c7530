// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestRival gives services addresses that another station on the link has, which
// says nothing unless it is asked. One of it is left to it; one that it is a proxy
// for is not, but told of.
func TestRival(t *testing.T) {
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 2)
	a := n.Asker()
	var ds []*harness.Daemon
	for _, node := range n.Nodes {
		ds = append(ds, run(t, node, settle, serviceRules+"  - {prefix: \"2001:db8:1:0:d::/112\", method: services}\n"))
	}
	for _, d := range ds { // else an address may go to the other node while it is looked at
		d.Wait("its share", func(s status.Status) bool { return s.Cluster.Settled && s.Cluster.Announcers == len(ds) })
	}
	owned, proxied := addr("2001:db8:1:0:d::1"), addr("2001:db8:1:0:d::2")
	harness.Must(t, n.Router.Address(harness.RouterPort, owned.String()+"/128"))
	harness.Must(t, n.Router.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	harness.Must(t, n.Router.Sysctl("net/ipv6/conf/"+harness.RouterPort+"/proxy_ndp", "1"))
	harness.Must(t, n.Router.Link.NeighAdd(&netlink.Neigh{LinkIndex: linkOf(t, n.Router, harness.RouterPort).Attrs().Index, Flags: netlink.NTF_PROXY, IP: proxied.AsSlice()}))
	c.CreateService("taken", externalIP(owned))
	if e := wantEvent(t, c, "AddressConflict", "Service"); e.InvolvedObject.Name != "taken" || !strings.Contains(e.Message, owned.String()) {
		t.Errorf("got %+v", e)
	}
	if nodes := answers(n, a, owned, 300*time.Millisecond); len(nodes) > 0 {
		t.Errorf("nodes %v answer for what another station has", nodes)
	}
	c.CreateService("shared", externalIP(proxied))
	if e := wantEvent(t, c, "AddressShared", "Service"); e.InvolvedObject.Name != "shared" || e.Type != corev1.EventTypeWarning ||
		!strings.Contains(e.Message, proxied.String()) || !strings.Contains(e.Message, "02:00:00:00:00:01") {
		t.Errorf("got %+v", e)
	}
	wantOwner(t, n, a, proxied)
	// One of which there is nothing to tell.
	fine := c.CreateService("fine")
	wantOwner(t, n, a, fine)
	time.Sleep(2 * time.Second)
	for _, d := range ds {
		if strings.Contains(d.Log(), fine.String()) {
			t.Errorf("the log tells of %s", fine)
		}
	}
}
