// SPDX-License-Identifier: Apache-2.0

package recipes

import "testing"

// TestShared64 stands in for radvd: a station of the LAN has the address and the default
// route that it would make of the advertisements.
func TestShared64(t *testing.T) {
	t.Parallel()
	p := &page{network: link(t)}
	p.node.run("ip link add name br-lan type bridge && ip -6 address add fe80::2/64 dev br-lan nodad && ip link set br-lan up")
	p.products = []func(){func() {
		p.guest("veth1", "br-lan", "2001:db8:1::64/128", "fe80::2")
	}}
	p.play("shared-64.md")
	p.reached("2001:db8:1::64")
	p.silent("2001:db8:1::65")
}
