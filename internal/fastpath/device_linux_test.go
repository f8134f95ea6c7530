// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"net"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestBridge answers on a bridge: at tc as on any device, and by XDP where that is behind
// any driver, because a bridge has none.
func TestBridge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode      rules.FastPathMode
		hook, why string
	}{
		"tc":     {rules.FastPathTC, "tcx", ""},
		"native": {rules.FastPathXDP, "tcx", "the driver of the device has no XDP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			const bridge = "br0"
			must(t, r.Node.Link.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge, HardwareAddr: net.HardwareAddr(conformance.NodeMAC[:])}}))
			b, err := r.Node.Link.LinkByName(bridge)
			must(t, err)
			l, err := r.Node.Link.LinkByName(harness.Uplink)
			must(t, err)
			must(t, r.Node.Link.LinkSetMaster(l, b))
			must(t, r.Node.Up(bridge))
			r.listen(bridge, rules.Uplink{FastPath: c.mode}, fastpath.Options{})
			r.wantPath(c.hook, c.why)
			r.wantAnswers(true)
		})
	}
}
