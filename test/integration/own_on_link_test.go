// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestOwnAddressAmidTheLink has addresses of the host among those of the link's
// stations. That of lo is answered for and defended, once nobody on the link has it;
// that of a second interface on the same link is left to the interface.
func TestOwnAddressAmidTheLink(t *testing.T) {
	t.Parallel()
	const vip, second = "2001:db8:1::aa", "2001:db8:1::b"
	for name, args := range map[string][]string{
		"discovery": nil,
		"route":     {"--interface", "eth0", "--rule", sharedPrefix + "=route"},
		"probe":     {"--interface", "eth0", "--rule", sharedPrefix + "=probe"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := shared(t)
			harness.Must(t, l.node.Veth("eth1", [6]byte{2, 0, 0, 0, 0, 0x22}, l.sw.ns, "uplinkb", [6]byte{2, 0, 0, 1, 0, 0x22}))
			l.sw.enslave("uplinkb")
			harness.Must(t, l.node.Address("eth1", second+"/64"))
			harness.Must(t, l.node.Address("lo", vip+"/128"))
			p := harness.OpenPort(t, l.router, "eth0")
			harness.Run(t, l.node, args...)
			l.keepsOut(t, second)
			for _, f := range p.Advertisements(100*time.Millisecond, harness.Never) {
				if [6]byte(f[6:12]) == conformance.NodeMAC && [16]byte(f[62:78]) == addr(second).As16() {
					t.Errorf("the node announces the address of eth1: % x", f)
				}
			}
			newcomer := l.sw.connect("early", [6]byte{2, 0, 0, 0, 0, 0x50})
			if !isDefended(t, newcomer, "eth0", vip+"/64") {
				t.Error("a newcomer takes an address of the host before anybody has asked for it")
			}
			harness.NewAsker(t, l.router, "eth0").WantAnswer(addr(vip))
			l.pings(t, vip)
			newcomer = l.sw.connect("late", [6]byte{2, 0, 0, 0, 0, 0x51})
			if !isDefended(t, newcomer, "eth0", vip+"/64") {
				t.Error("a newcomer takes an address of the host")
			}
		})
	}
}
