// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/docs"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestShared64 has Debian's radvd, and a station of the LAN that makes its address and its
// default route of what radvd advertises.
func TestShared64(t *testing.T) {
	t.Parallel()
	p := &page{network: link(t)}
	p.node.run("ip link add name br-lan type bridge && ip link set br-lan up")
	station := harness.Namespace(t)
	harness.Must(t, p.node.Veth("veth1", conformance.MAC{2, 0, 0, 2, 0, 0x31}, station, "eth0", conformance.MAC{2, 0, 0, 3, 0, 0x31}))
	p.node.run("ip link set veth1 master br-lan")
	p.products = []func(){func() {
		p.node.start("radvd", "-n", "-C", "/etc/radvd.conf", "-m", "stderr", "-p", "/run/radvd.pid")
		harness.Eventually(t, "address of the station", func() bool { return hasAddress(t, station, "2001:db8:1::ff:fe03:31") })
	}}
	p.play("shared-64.md")
	p.reached("2001:db8:1::ff:fe03:31")
	p.silent("2001:db8:1::65")

	t.Log("the provider changes the prefix")
	harness.Must(t, p.router.Address(harness.RouterPort, "2001:db8:5::ff/64"))
	p.node.run("ip -6 address add 2001:db8:5::1/64 dev eth0 nodad && ip -6 address del 2001:db8:1::1/64 dev eth0")
	harness.Must(t, station.Address("eth0", "2001:db8:5::31/128"))
	p.reached("2001:db8:5::31")
	p.silent("2001:db8:1::ff:fe03:31")
}

// TestSharedDocker has what the page says is the same case: Docker's bridge with the prefix
// of the link, whose route the kernel prefers.
func TestSharedDocker(t *testing.T) {
	t.Parallel()
	n := link(t)
	n.bridge("docker0", "2001:db8:1::2/64")
	n.node.run("ip -6 route del 2001:db8:1::/64 dev eth0 && ip -6 route add 2001:db8:1::/64 dev eth0 metric 1024")
	n.guest("veth1", "docker0", "2001:db8:1::64/64", "2001:db8:1::2")
	n.node.write(configuration, strings.ReplaceAll(docs.File(t, "docs/recipes/shared-64.md", configuration), "br-lan", "docker0"))
	n.node.daemon().WaitReady()
	n.reached("2001:db8:1::64")
	n.silent("2001:db8:1::65")
	if out := n.node.run("ndproxyd check"); !strings.Contains(out, ", 0 warnings") {
		t.Errorf("check finds something: %s", out)
	}
}

// hasAddress reports whether eth0 has an address.
func hasAddress(t *testing.T, ns *lab.Namespace, address string) bool {
	t.Helper()
	eth0, err := ns.Link.LinkByName("eth0")
	harness.Must(t, err)
	list, err := ns.Link.AddrList(eth0, netlink.FAMILY_V6)
	harness.Must(t, err)
	for _, a := range list {
		if a.IP.String() == address {
			return true
		}
	}
	return false
}
