// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// TestProxmox stands in for ifupdown2, which sets up what the page's file says, and for a
// virtual machine.
func TestProxmox(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.node = n.connect(conformance.NodeMAC, conformance.NodeAddr.String()+"/128")
	p := &page{network: n}
	p.products = []func(){func() {
		p.bridge("vmbr0", "2001:db8:1::2/64")
		if out := p.node.run("ndproxyd check"); !strings.Contains(out, "prefix: \"2001:db8:1::/64\"\n") || !strings.Contains(out, "method: probe\n") {
			t.Errorf("check proposes another configuration: %s", out)
		}
		p.guest("tap1", "vmbr0", "2001:db8:1::64/64", "2001:db8:1::2")
	}}
	p.play("proxmox.md")
	p.reached("2001:db8:1::64")
	p.silent("2001:db8:1::65")
}

// TestLibvirt stands in for libvirt's network and a virtual machine.
func TestLibvirt(t *testing.T) {
	t.Parallel()
	p := &page{network: link(t)}
	p.products = []func(){func() {
		p.bridge("virbr6", "2001:db8:1:0:8::1/80")
		p.guest("vnet1", "virbr6", "2001:db8:1:0:8::100/80", "2001:db8:1:0:8::1")
	}}
	p.play("libvirt.md")
	p.reached("2001:db8:1:0:8::100")
}
