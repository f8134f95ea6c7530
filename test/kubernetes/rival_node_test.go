// SPDX-License-Identifier: Apache-2.0

//go:build full

package kubernetes

import (
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestRivalOnNode has the kernel of a node answer as a proxy for addresses that another
// node owns: that is reported, with the node. Restarts of daemons meanwhile are not.
func TestRivalOnNode(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 2)
	a := n.Asker()
	daemons := make([]*harness.Daemon, len(n.Nodes))
	for i, on := range n.Nodes {
		daemons[i] = run(t, on, settle, wideRule)
	}
	settled(t, n, a, daemons, nil) // until then the first node owns each address
	var shared netip.Addr          // owned by the first node
	for i := byte(1); !shared.IsValid(); i++ {
		at := netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 5: 1, 14: 0xc, 15: i})
		c.CreateService("s"+string('a'+rune(i)), externalIP(at))
		if wantOwner(t, n, a, at) == 0 && daemons[0].Explain(at).Answers[0].Cluster.Backup == n.Nodes[1].Name {
			shared = at
		}
	}
	rival := n.Nodes[1]
	harness.Must(t, rival.Sysctl("net/ipv6/conf/"+harness.Uplink+"/proxy_ndp", "1"))
	harness.Must(t, rival.Link.NeighAdd(&netlink.Neigh{
		LinkIndex: linkOf(t, rival.Namespace, harness.Uplink).Attrs().Index, Flags: netlink.NTF_PROXY, IP: shared.AsSlice(),
	}))
	daemons[1].Signal(syscall.SIGTERM)
	daemons[1].Exit()
	daemons[1] = run(t, rival, settle, wideRule)
	harness.Within(t, time.Minute, "Event about the other station", func() bool { return len(events(t, c, "AddressShared")) > 0 })
	for _, e := range events(t, c, "AddressShared") {
		if !strings.Contains(e.Message, shared.String()) || !strings.Contains(e.Message, "(node "+rival.Name+")") {
			t.Errorf("got %+v", e)
		}
	}
	harness.Eventually(t, "answer of its owner, too", func() bool { return slices.Contains(answers(n, a, shared, 50*time.Millisecond), 0) })
}
