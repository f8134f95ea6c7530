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
	// hear returns the next announcement, and when it came.
	hear := func() ([]byte, time.Time) {
		t.Helper()
		f, at := a.Announcement(conformance.Pod, harness.Patience)
		if f == nil {
			t.Fatal("no announcement")
		}
		return f, at
	}
	first, _ := hear()
	for range 2 {
		hear()
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
	var last time.Time
	stalled := harness.Stalled()
	for i := range 2 {
		f, at := hear()
		pause, stall := at.Sub(last), harness.Stalled()-stalled
		if i > 0 && (pause < 8*time.Second || pause-stall > 14*time.Second) {
			t.Errorf("announced again after %s, want one each 10 seconds", pause)
		}
		last, stalled = at, stalled+stall
		if string(f[14:]) != string(first[14:]) {
			t.Errorf("it is % x, the first one was % x", f, first)
		}
	}
	harness.Eventually(t, "the router's entry again", func() bool { return entry() != nil })

	t.Log("a reload turns it off")
	harness.ReplaceIn(t, path, "reannounce: 10s, ", "")
	d.Reload()
	off := time.Now()
	_, again := a.Unsolicited(conformance.Pod, 12*time.Second)
	for _, at := range again {
		if at.After(off) {
			t.Errorf("announced %s after that", at.Sub(off))
		}
	}
}
