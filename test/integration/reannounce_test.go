// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestReannounce lets the router forget an address, and hear of it again.
func TestReannounce(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	device(t, n.Node, "pods")
	config := "version: 1\nuplinks: [{interface: uplink, reannounce: 10s, prime: solicit}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: route}]\n"
	route(t, n.Node, "::/0", harness.Uplink, n.Node.Link.RouteAdd, func(r *netlink.Route) { r.Gw = conformance.RouterAddr.AsSlice() })
	path := harness.WriteConfig(t, config)
	d := harness.Run(t, n.Node, "--config", path)
	a := newAsker(t, n)
	route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteAdd)
	first, _ := a.Unsolicited(conformance.Pod, 4*time.Second)
	if len(first) < 3 {
		t.Fatalf("%d announcements", len(first))
	}
	entry := func() *netlink.Neigh {
		list, err := n.Router.Link.NeighList(0, netlink.FAMILY_V6)
		harness.Must(t, err)
		for _, e := range list {
			if e.IP.Equal(conformance.Pod.AsSlice()) && len(e.HardwareAddr) > 0 {
				return &e
			}
		}
		return nil
	}
	harness.Eventually(t, "the router's entry", func() bool { return entry() != nil })
	harness.Must(t, n.Router.Link.NeighDel(entry()))
	// The first round begins 5 to 10 seconds after the start, and leaves out what has
	// just been announced.
	again, _ := a.Unsolicited(conformance.Pod, 28*time.Second)
	if len(again) < 2 || len(again) > 3 {
		t.Errorf("%d announcements in 28 seconds, want one each 10", len(again))
	}
	for _, f := range again {
		if string(f[14:]) != string(first[0][14:]) {
			t.Errorf("it is % x, the first one was % x", f, first[0])
		}
	}
	harness.Eventually(t, "the router's entry again", func() bool { return entry() != nil })

	t.Log("a reload turns it off")
	harness.ReplaceIn(t, path, "reannounce: 10s, ", "")
	d.Reload()
	if again, _ = a.Unsolicited(conformance.Pod, 12*time.Second); len(again) != 0 {
		t.Errorf("%d announcements", len(again))
	}
}
