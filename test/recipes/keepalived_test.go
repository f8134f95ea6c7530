// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/docs"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestKeepalived has Debian's keepalived on two hosts, with one network behind both. The
// one that the page is played on then loses its keepalived.
func TestKeepalived(t *testing.T) {
	t.Parallel()
	n := link(t)
	other := n.connect(conformance.OtherMAC, "2001:db8:1::3/64")
	machine := harness.Namespace(t) // a bridge with a port to each host
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	harness.Must(t, machine.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	harness.Must(t, machine.Up("eth0"))
	for i, h := range []*host{n.node, other} {
		port := []string{"port1", "port2"}[i]
		harness.Must(t, h.Veth("lan0", conformance.MAC{2, 0, 0, 5, 0, byte(i)}, machine, port, conformance.MAC{2, 0, 0, 6, 0, byte(i)}))
		device, err := machine.Link.LinkByName(port)
		harness.Must(t, err)
		bridge, err := machine.Link.LinkByName("eth0")
		harness.Must(t, err)
		harness.Must(t, machine.Link.LinkSetMaster(device, bridge))
	}
	harness.Must(t, machine.Address("eth0", "2001:db8:1:0:4::5/80"))
	harness.Must(t, machine.Route("::/0", "2001:db8:1:0:4::1", "eth0"))

	const path = "/etc/keepalived/keepalived.conf"
	has := func(h *host) func() bool {
		return func() bool {
			out, err := h.try("ip -6 address show dev eth0 to 2001:db8:1::5 -tentative")
			return err == nil && strings.Contains(out, "2001:db8:1::5")
		}
	}
	p := &page{network: n}
	stop := func() {}
	p.products = []func(){func() {
		stop = n.node.start("keepalived", "-n", "-l", "-f", path)
		harness.Eventually(t, "virtual address", has(n.node))
		other.write(path, strings.Replace(docs.File(t, "docs/recipes/keepalived.md", path), "priority 100", "priority 50", 1))
		other.start("keepalived", "-n", "-l", "-f", path)
		other.write(configuration, docs.File(t, "docs/recipes/keepalived.md", configuration))
		other.daemon().WaitReady()
	}}
	p.play("keepalived.md")
	p.reached("2001:db8:1:0:4::5")
	if out := other.run("ndproxyd explain 2001:db8:1:0:4::5"); !strings.Contains(out, "(standby)") {
		t.Errorf("the other host answers, too: %s", out)
	}
	stop()
	harness.Eventually(t, "virtual address on the other host", has(other))
	p.reached("2001:db8:1:0:4::5")
	harness.Eventually(t, "answer of the other host", func() bool { // the first one may have answered last
		return strings.Contains(other.run("ndproxyd explain 2001:db8:1:0:4::5"), "is answered")
	})
}
