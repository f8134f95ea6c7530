// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestAnyIP needs no stand-in: the kernel takes the packets.
func TestAnyIP(t *testing.T) {
	t.Parallel()
	p := &page{network: link(t)}
	p.play("anyip.md")
	p.reached("2001:db8:1:0:c::1234")
	p.reached("2001:db8:1:0:c::ffff")
	p.silent("2001:db8:1:0:d::1")
}

// TestAnyIPOfTheLink has the host take the whole prefix of the link: other stations keep
// their addresses.
func TestAnyIPOfTheLink(t *testing.T) {
	t.Parallel()
	n := link(t)
	n.connect(conformance.OtherMAC, "2001:db8:1::3/64")
	n.node.run("ip -6 route add local 2001:db8:1::/64 dev lo")
	n.node.write(configuration, "version: 1\nuplinks:\n  - interface: eth0\nrules:\n  - prefix: 2001:db8:1::/64\n    method: route\n")
	n.node.daemon().WaitReady()
	n.reached("2001:db8:1::4")
	a := harness.NewAsker(t, n.router, harness.RouterPort)
	for range 5 {
		a.Port.Send(conformance.Solicitation(netip.MustParseAddr("2001:db8:1::3")).Bytes())
		for _, f := range a.Port.Advertisements(500*time.Millisecond, harness.Never) {
			if [6]byte(f[6:12]) == conformance.NodeMAC && [16]byte(f[62:78]) == netip.MustParseAddr("2001:db8:1::3").As16() {
				t.Fatalf("the host answers for another station: % x", f)
			}
		}
	}
}
