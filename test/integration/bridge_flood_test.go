// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestBridgeFlood makes 2,000 MAC addresses a second up on an uplink that is a
// bridge, as any station can: the node's routes are followed meanwhile, and the
// stations of its containers too.
func TestBridgeFlood(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = "br0", []byte{2, 0, 0, 0, 0, 0x10}
	harness.Must(t, n.Node.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	harness.Must(t, n.Node.Up("br0"))
	port, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	bridge, err := n.Node.Link.LinkByName("br0")
	harness.Must(t, err)
	harness.Must(t, n.Node.Link.LinkSetMaster(port, bridge))
	harness.Must(t, n.Node.Address("br0", "2001:db8:1::2/64"))
	device(t, n.Node, "pods")
	harness.Run(t, n.Node, "--interface", "br0", "--rule", routeRule)
	a := newAsker(t, n)

	stop, done := make(chan struct{}), make(chan int)
	flood := harness.OpenPort(t, n.Router, harness.RouterPort)
	go func() {
		const perSecond = 2000
		frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 9, 0, 0, 0, 0, 0x88, 0xb5}, make([]byte, 46)...)
		sent := 0
		for begin := time.Now(); ; {
			select {
			case <-stop:
				done <- sent
				return
			case <-time.After(time.Millisecond):
			}
			for due := int(time.Since(begin).Seconds() * perSecond); sent < due; sent++ {
				binary.BigEndian.PutUint32(frame[8:], uint32(sent))
				flood.Send(frame)
			}
		}
	}()
	last := conformance.PodPrefix.Addr().As16()
	for i := range 20 {
		time.Sleep(200 * time.Millisecond) // the flood goes on
		last[15] = byte(0x20 + i)
		target := netip.AddrFrom16(last)
		route(t, n.Node, target.String()+"/128", "pods", n.Node.Link.RouteAdd)
		a.WantAnswer(target)
		route(t, n.Node, target.String()+"/128", "pods", n.Node.Link.RouteDel)
		a.WantSilence(target)
	}
	close(stop)
	if sent := <-done; sent < 4000 {
		t.Errorf("only %d MAC addresses were made up: this test shows nothing", sent)
	}
}
